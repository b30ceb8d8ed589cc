# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a host: true about this one, true about what is taken away from it, and without a trace."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine import host
from ansible_collections.mini.containers.plugins.module_utils.linux import libc, probe
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.detect import Hierarchies
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MS_BIND
from ansible_collections.mini.containers.plugins.module_utils.linux.overlay import overlay_data
from ansible_collections.mini.containers.plugins.module_utils.network import command


def _lacking(paths: Paths) -> str:
    return json.dumps([lack.what for lack in host.inspect(paths).lacking])


def _trace(directory: Path) -> list[object]:
    links = subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout
    namespaces = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("mnt", "net", "uts", "ipc", "cgroup")]
    return [links, namespaces, Path("/proc/self/mountinfo").read_text(), sorted(os.listdir(directory))]


def test_this_host_lacks_nothing(tmp_path: Path) -> None:
    before = _trace(tmp_path)
    found = host.inspect(Paths(str(tmp_path / "state")))
    assert not found.lacking
    assert found.facts["kernel"] == os.uname().release
    assert set(found.facts["cgroups"].values()) <= {1, 2}
    assert found.facts["iptables"]["backend"] in ("nf_tables", "legacy")
    assert _trace(tmp_path) == before


def test_an_overlay_cannot_lie_on_another(tmp_path: Path) -> None:
    directories = [str(tmp_path / name) for name in ("lower", "upper", "work", "merged")]
    for directory in directories:
        os.mkdir(directory)
    lower, upper, work, merged = directories

    def inside() -> str:
        libc.mount("overlay", merged, "overlay", 0, overlay_data([lower], upper, work))
        lacking = host.inspect(Paths(f"{merged}/state")).lacking
        return json.dumps([[lack.what, merged in lack.why, "state_root" in lack.remedy] for lack in lacking])

    assert json.loads(probe.in_namespaces(libc.CLONE_NEWNS, inside)) == [["overlayfs", True, True]]


def test_one_packet_filter_is_enough(tmp_path: Path) -> None:
    programs = [os.path.realpath(command.find(name, "")) for name in ("iptables", "nft")]

    def inside(missing: Iterable[str]) -> str:
        for program in missing:
            libc.mount("/dev/null", program, None, MS_BIND)
        return _lacking(Paths(str(tmp_path)))

    for missing, lacking in ((programs[:1], []), (programs[1:], []), (programs, ["a packet filter"])):
        assert json.loads(probe.in_namespaces(libc.CLONE_NEWNS, partial(inside, missing))) == lacking


def test_without_root_that_is_all_there_is_to_say(tmp_path: Path) -> None:
    def inside() -> str:
        os.setresuid(65534, 65534, 65534)
        return _lacking(Paths(str(tmp_path)))

    assert json.loads(probe.in_namespaces(0, inside)) == ["root"]


def test_controllers_that_are_in_no_hierarchy() -> None:
    lacking = list(host._controllers(Hierarchies("", {"/sys/fs/cgroup/cpu": "cpu,cpuacct"})))
    assert [lack.what.split()[-1] for lack in lacking if "no mounted hierarchy" in lack.why] == [
        "memory",
        "cpuset",
        "pids",
    ]


@pytest.mark.parametrize(("version", "lacking"), [("", "there is none"), ("0.7.1", "this is 0.7.1"), ("0.7.2", "")])
def test_versions(version: str, lacking: str) -> None:
    found = [lack.why for lack in host._versions({"kernel": "6.1.0", "python": "3.9.2", "pyroute2": version})]
    assert found == ([f"0.7.2 or newer is needed, {lacking}"] if lacking else [])


def test_a_probe_that_is_refused_says_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such device") as refused:
        probe.in_namespaces(libc.CLONE_NEWNS, lambda: libc.mount("none", str(tmp_path), "no-such-fs") or "")
    assert refused.value.errno == 19


def test_a_probe_that_dies_is_refused() -> None:
    with pytest.raises(OSError, match="the probe died"):
        probe.in_namespaces(0, lambda: os.kill(os.getpid(), 9) or "")
