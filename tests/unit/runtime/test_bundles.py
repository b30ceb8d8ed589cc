# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about bundles that need no kernel."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import (
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
    Change,
    parse_options,
)
from ansible_collections.mini.containers.plugins.module_utils.runtime.init import sysctl_path
from ansible_collections.mini.containers.plugins.module_utils.runtime.oci import options
from ansible_collections.mini.containers.plugins.module_utils.runtime.oci.config import cgroup_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/mini-oci/c1"),
        ("/a/b", "/a/b"),
        ("a/b", "/a/b"),
        ("/../../a/../b", "/b"),
        ("system.slice:docker:c1", "/system.slice/docker-c1.scope"),
        ("machine-a-b.slice:libpod:c1", "/machine.slice/machine-a.slice/machine-a-b.slice/libpod-c1.scope"),
        (":runc:c1", "/runc-c1.scope"),
        ("-.slice::c1", "/c1.scope"),
    ],
)
def test_cgroup_paths(text: str, path: str) -> None:
    assert cgroup_path(text, "c1", systemd=True) == path


def test_the_root_of_a_hierarchy_is_nobodys_cgroup() -> None:
    with pytest.raises(BadInput, match="root of a hierarchy"):
        cgroup_path("/a/..", "c1", systemd=False)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
    ],
)
def test_sysctl_names(name: str, path: str) -> None:
    assert sysctl_path(name) == path


def test_mount_options() -> None:
    found = parse_options(
        ["rbind", "nosuid", "ro", "rw", "dev", "rnodev", "rrw", "rslave", "noatime", "size=1m", "defaults"]
    )
    assert found.flags == MS_BIND | MS_REC | MS_NOSUID | MS_NOATIME
    assert found.own == Change(MS_NOSUID | MS_NOATIME, MS_RDONLY | MS_NODEV)
    assert found.below == Change(MS_NODEV, MS_RDONLY)
    assert (found.propagation, found.data) == (MS_SLAVE | MS_REC, "size=1m")


def test_runcs_command_lines() -> None:
    found = options.parse(
        "--root /r --log l --log-format json --systemd-cgroup create --bundle /b --pid-file p c1".split()
    )
    assert (found.root, found.log, found.log_format, found.systemd_cgroup) == ("/r", "l", "json", True)
    assert (found.verb, found.bundle, found.pid_file, found.id) == ("create", "/b", "p", "c1")
    found = options.parse("exec --tty --env A=1 -e B=2 --user 1:2 c1 ls -l --color".split())
    assert (found.id, found.command, found.env, found.tty) == ("c1", ["ls", "-l", "--color"], ["A=1", "B=2"], True)
    found = options.parse("kill --all c1 9".split())
    assert (found.all, found.id, found.signal) == (True, "c1", "9")
    found = options.parse("update --memory 64M --cpu-quota -1 c1".split())
    assert (found.memory, found.cpu_quota) == (64 << 20, -1)
    assert options.parse(["--version"]).verb == "version"


@pytest.mark.parametrize("line", ["", "nothing c1", "create", "create --nosuch c1"])
def test_command_lines_that_make_no_sense(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options.parse(line.split())
    assert "usage: mini-oci" in capsys.readouterr().err
