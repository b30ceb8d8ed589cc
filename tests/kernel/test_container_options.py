# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, one by one: that each does what it says, and that the same task again changes nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, MiniError


@pytest.mark.parametrize(
    ("options", "line", "expected"),
    [
        ({"capabilities": ["NET_RAW"]}, "grep CapEff /proc/1/status | cut -f2", "00000000800425fb"),
        ({"cap_drop": ["cap_chown"]}, "grep CapEff /proc/1/status | cut -f2", "00000000800405fa"),
        ({"cap_drop": ["ALL"]}, "grep CapBnd /proc/1/status | cut -f2", "0000000000000000"),
        ({"cap_drop": ["all"], "capabilities": ["KILL"]}, "grep CapEff /proc/1/status | cut -f2", "0000000000000020"),
        ({"read_only": True}, "echo x > /x || echo refused; echo y > /dev/shm/y && echo ok", "refused\nok"),
        ({"tmpfs": ["/scratch:size=1M"]}, "mount | grep -c ' on /scratch '", "1"),
        (
            {"mounts": [{"target": "/t", "type": "tmpfs", "tmpfs_size": "1M", "tmpfs_mode": "700"}]},
            "stat -c %a /t; dd if=/dev/zero of=/t/x bs=1M count=2 2>/dev/null || echo full",
            "700\nfull",
        ),
        ({"shm_size": "1M"}, "dd if=/dev/zero of=/dev/shm/x bs=1M count=2 2>/dev/null || echo full", "full"),
        ({"hostname": "box", "domainname": "example.org"}, "cat /proc/sys/kernel/domainname", "example.org"),
        ({"sysctls": {"net.ipv4.ip_default_ttl": 42}}, "cat /proc/sys/net/ipv4/ip_default_ttl", "42"),
        ({"sysctls": {"kernel.shmmax": "1000000"}}, "cat /proc/sys/kernel/shmmax", "1000000"),
        ({"ulimits": ["nofile:64:128"]}, "ulimit -Sn; ulimit -Hn", "64\n128"),
        ({"ulimits": ["core:0"]}, "ulimit -c", "0"),
        ({"groups": ["audio", "4242"]}, "id -G | tr ' ' '\\n' | sort -n", "0\n29\n4242"),
        ({"user": "alice", "groups": ["wheel"]}, "id -G | tr ' ' '\\n' | sort -n", "10\n29\n1000"),
        ({"oom_score_adj": 500}, "cat /proc/self/oom_score_adj", "500"),
        ({"dns_servers": ["192.0.2.53"], "dns_search_domains": ["example.org"]}, "cat /etc/resolv.conf", None),
        ({"etc_hosts": {"db": "192.0.2.1"}}, "grep db /etc/hosts", "192.0.2.1\tdb"),
        (
            {"init": True},
            "tr '\\0' ' ' < /proc/1/cmdline | cut -c1-15; test $$ != 1 && echo child",
            "/dev/init -- sh\nchild",
        ),
        ({"security_opts": ["no-new-privileges"]}, "grep NoNewPrivs /proc/self/status | cut -f2", "1"),
        ({"security_opts": ["seccomp=unconfined"]}, "grep Seccomp: /proc/self/status | cut -f2", "0"),
        ({}, "grep Seccomp: /proc/self/status | cut -f2", "2"),
    ],
)
def test_an_option_does_what_it_says(host: Any, options: dict[str, Any], line: str, expected: str | None) -> None:
    script = f"({line}) > /dev/shm/out 2>&1; exec sleep 1000"
    host.container(command=["sh", "-c", line.replace("/proc/1/", "/proc/self/")], state="present", **options)
    host.absent("c")
    host.container(command=["sh", "-c", script], **options)
    found = host.exec("c", "sh", "-c", f"sleep 0.1; {line}").stdout.decode().strip()
    if expected is None:
        expected = "nameserver 192.0.2.53\nsearch example.org"
    assert found.splitlines()[-len(expected.splitlines()) :] == expected.splitlines()
    assert not host.container(command=["sh", "-c", script], **options).plan
    host.absent("c")


@pytest.mark.parametrize(
    ("controller", "option", "value", "v1", "v2"),
    [
        ("memory", "memory_reservation", "32M", ("memory.soft_limit_in_bytes", "33554432"), ("memory.low", "33554432")),
        ("cpu", "cpu_shares", 512, ("cpu.shares", "512"), ("cpu.weight", "20")),
        ("cpuset", "cpuset_mems", "0", ("cpuset.mems", "0"), ("cpuset.mems", "0")),
    ],
)
def test_more_limits(host: Any, controller: str, option: str, value: Any, v1: Any, v2: Any) -> None:
    host.container(**{option: value})
    file, expected = v1 if Path(f"/sys/fs/cgroup/{controller}").is_dir() else v2
    assert host.cgroup_file("c", controller, file) == expected
    assert not host.container(**{option: value}).plan
    host.absent("c")


def test_privileged_is_unconfined_but_has_namespaces(host: Any) -> None:
    host.container(privileged=True)
    script = "mount -t tmpfs tmpfs /tmp && echo mounted; echo x > /proc/sys/kernel/domainname && echo wrote; hostname"
    assert host.exec("c", "sh", "-c", script).stdout.decode() == "mounted\nwrote\nc\n"
    host.absent("c")


def test_later_mounts_arrive_only_where_asked(host: Any, tmp_path: Path) -> None:
    for name in ("shared", "kept"):
        (tmp_path / name / "late").mkdir(parents=True)
    host.container(volumes=[f"{tmp_path}/shared:/s:rslave", f"{tmp_path}/kept:/k"])
    for name in ("shared", "kept"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / name / "late")], check=True)
        (tmp_path / name / "late" / "file").touch()
    try:
        assert host.exec("c", "ls", "/k/late").stdout == b""
    finally:
        for name in ("shared", "kept"):
            subprocess.run(["umount", str(tmp_path / name / "late")], check=True)
    host.absent("c")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"memory": "64m"}, {"memory": "67108864"}),
        ({"cpuset_cpus": "0,1"}, {"cpuset_cpus": "0-1"}),
        ({"volumes": ["b:/b", "a:/a"]}, {"volumes": ["a:/a/", "b:/b:rw"]}),
        ({"env": {"A": 1}}, {"env": {"A": "1"}}),
        ({"command": "sleep 1000"}, {"command": ["sleep", "1000"]}),
        ({"capabilities": ["NET_RAW", "KILL"]}, {"capabilities": ["cap_kill", "cap_net_raw"]}),
        ({"stop_signal": "TERM"}, {"stop_signal": "SIGTERM"}),
        ({"ulimits": ["nofile:10:20", "core:0"]}, {"ulimits": ["core:0:0", "nofile:10:20"]}),
    ],
)
def test_two_spellings_of_one_wish(host: Any, first: dict[str, Any], second: dict[str, Any]) -> None:
    host.container(**first)
    assert not host.container(**second).plan.describe()
    host.absent("c")
    for name in ("a", "b"):
        subprocess.run(["rm", "-rf", f"{host.paths.volumes}/{name}"], check=True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"capabilities": ["FLY"]}, "no capability CAP_FLY"),
        ({"sysctls": {"kernel.panic": "1"}}, "not the container's own"),
        ({"sysctls": {"net.ipv4/../../kernel/panic": "1"}}, "not the container's own"),
        ({"ulimits": ["fish:1"]}, "no limit 'fish'"),
        ({"ulimits": ["nofile:10:5"]}, "above the hard one"),
        ({"oom_score_adj": 5000}, "out of range"),
        ({"dns_servers": ["example.org"]}, "is not an address"),
        ({"etc_hosts": {"db": "nowhere"}}, "is not an address"),
        ({"security_opts": ["magic"]}, "is not known"),
        ({"tmpfs": ["relative"]}, "must be a path"),
        ({"mounts": [{"target": "/x", "type": "bind", "source": "name"}]}, "not a path on the host"),
        ({"groups": ["nobodys"]}, "no group 'nobodys'"),
    ],
)
def test_nonsense_is_refused(host: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(MiniError, match=text) as caught:
        host.container(**options)
    assert isinstance(caught.value, BadInput) or caught.value.step == "user"
