# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces that a container shares with the host or with another container."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, MiniError, NotFound

from .waiting import eventually

KINDS = ("net", "pid", "ipc", "uts", "cgroup", "mnt")


def namespaces(pid: int) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS}


@pytest.mark.parametrize(
    ("options", "shared"),
    [
        ({}, set()),
        ({"network_mode": "none"}, set()),
        ({"network_mode": "host"}, {"net"}),
        ({"pid_mode": "host"}, {"pid"}),
        ({"ipc_mode": "host"}, {"ipc"}),
        ({"uts": "host"}, {"uts"}),
        ({"cgroupns_mode": "host"}, {"cgroup"}),
    ],
)
def test_what_is_shared_with_the_host(host: Any, options: dict[str, str], shared: set[str]) -> None:
    host.container(**options)
    inside = namespaces(host.pid())
    mine = {**namespaces(os.getpid()), "net": os.readlink("/proc/thread-self/ns/net")}
    assert {kind for kind in KINDS if inside[kind] == mine[kind]} == shared
    assert host.exec("c", "true").rc == 0
    assert not host.container(**options).plan
    host.absent("c")


def test_processes_of_a_shared_pid_namespace_end_with_the_container(host: Any) -> None:
    """The kernel ends them only with the first process of their namespace."""
    host.container(command=["sh", "-c", "sleep 4242 & exec sleep 1000"], pid_mode="host")
    assert b"sleep 4242" in host.exec("c", "ps").stdout
    host.container(state="stopped")
    assert b"sleep 4242" not in host.run("ps", pid_mode="host").stdout.encode()
    host.absent("c")


@pytest.mark.parametrize(("option", "kind"), [("network_mode", "net"), ("pid_mode", "pid"), ("ipc_mode", "ipc")])
def test_joining_another_container(host: Any, option: str, kind: str) -> None:
    host.container("first", ipc_mode="shareable")
    host.container("second", **{option: "container:first"})
    first, second = namespaces(host.pid("first")), namespaces(host.pid("second"))
    assert {name for name in KINDS if first[name] == second[name]} == {kind}
    assert not host.container("second", **{option: "container:first"}).plan
    host.absent("second", "first")


def test_joined_memory_is_one(host: Any) -> None:
    host.container("first", ipc_mode="shareable", shm_size="1M")
    host.container("second", ipc_mode="container:first")
    host.exec("first", "sh", "-c", "echo hello > /dev/shm/word")
    assert host.exec("second", "cat", "/dev/shm/word").stdout == b"hello\n"
    host.absent("second", "first")


def test_a_joined_network_has_its_names(host: Any) -> None:
    host.network("lan")
    host.container("web", networks=[{"name": "lan"}])
    host.container("side", network_mode="container:web")
    assert b"web" in host.exec("side", "cat", "/etc/hosts").stdout
    host.absent("side", "web")
    host.no_network("lan")


def test_memory_that_is_nobodys(host: Any) -> None:
    host.container(ipc_mode="none")
    assert b" /dev/shm " not in host.exec("c", "mount").stdout
    host.absent("c")


@pytest.mark.parametrize(("option", "kind"), [("network_mode", "net"), ("pid_mode", "pid"), ("ipc_mode", "ipc")])
def test_who_joined_what_was_made_anew_is_restarted(host: Any, option: str, kind: str) -> None:
    first = {"ipc_mode": "shareable"}
    joined = {option: "container:first"}
    host.container("first", **first)
    host.container("second", restart_policy="no", **joined)
    host.container("first", env={"A": "1"}, **first)
    steps = host.container("second", check=True, **joined).plan
    if option == "pid_mode":
        assert [step.name for step in steps][-1] == "start", "its processes ended with the namespace"
    else:
        assert any("of first is a new one" in line and "(restart)" in line for line in steps.describe())
    host.container("second", **joined)
    assert namespaces(host.pid("first"))[kind] == namespaces(host.pid("second"))[kind]
    assert not host.container("second", **joined).plan
    host.absent("second", "first")


def test_who_does_not_run_yet_needs_nobody_that_does(host: Any) -> None:
    host.container("first", state="stopped")
    host.container("second", network_mode="container:first", state="present")
    assert host.container("second", network_mode="container:first", labels={"a": "b"}, state="stopped").plan
    with pytest.raises(Conflict, match="cannot join first: it does not run"):
        host.container("second")
    host.container("first")
    host.container("second")
    host.absent("second", "first")


def test_its_monitor_joins_the_same_again(host: Any) -> None:
    """Also when the other one is gone by then: what was joined is kept, and nobody else's can be met by its number."""
    host.container("first")
    host.container("second", network_mode="container:first", restart_policy="always", command="sleep 1000")
    joined = namespaces(host.pid("second"))["net"]
    host.absent("first")
    assert not host.container("second").plan
    before = host.pid("second")
    os.kill(before, 9)
    eventually(lambda: host.pid("second") not in (0, before))
    assert namespaces(host.pid("second"))["net"] == joined
    host.container("second", restart_policy="no")
    with pytest.raises(NotFound, match="there is no such container"):
        host.container("second", restart=True)
    host.absent("second")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"network_mode": "host", "networks": [{"name": "lan"}]}, BadInput, "is in no network"),
        ({"network_mode": "host", "published_ports": ["80:80"]}, BadInput, "published_ports has no effect"),
        ({"network_mode": "host", "sysctls": {"net.ipv4.ip_default_ttl": 1}}, BadInput, "not the container's own"),
        ({"network_mode": "container:nobody"}, NotFound, "nobody, which it is to join, does not run"),
        ({"network_mode": "container:down"}, NotFound, "down, which it is to join, does not run"),
        ({"network_mode": "container:up", "etc_hosts": {"a": "192.0.2.1"}}, BadInput, "etc_hosts has no effect"),
        ({"network_mode": "container:"}, BadInput, "is not a container name"),
        ({"network_mode": "nowhere"}, NotFound, "network nowhere does not exist"),
        ({"pid_mode": "container:down"}, NotFound, "down, which it is to join, does not run"),
        ({"pid_mode": "none"}, BadInput, "pid_mode: 'none' is not known"),
        ({"ipc_mode": "container:up"}, Conflict, "it is private; give up the ipc_mode shareable"),
        ({"ipc_mode": "host", "shm_size": "1M"}, BadInput, "shm_size has no effect"),
        ({"uts": "host", "hostname": "x"}, BadInput, "hostname has no effect"),
    ],
)
def test_what_cannot_be_shared(host: Any, options: dict[str, Any], error: type[MiniError], text: str) -> None:
    host.container("up")
    host.container("down", state="stopped")
    with pytest.raises(error, match=text):
        host.container(**options)
    host.absent("up", "down")


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that is a shared mount."""
    where = tmp_path / "tree"
    for name in ("in", "out", "again"):
        (where / name).mkdir(parents=True)
    subprocess.run(["mount", "--bind", where, where], check=True)
    subprocess.run(["mount", "--make-shared", where], check=True)
    yield where
    subprocess.run(["umount", "--recursive", where], check=True)


def _mounted(path: Path) -> bool:
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("option", ["volumes", "mounts"])
def test_mounts_go_both_ways_where_they_are_shared(tree: Path, host: Any, option: str) -> None:
    """Also after a restart by the container's monitor. Nothing else of the container's gets out."""
    table = Path("/proc/self/mountinfo")
    described = {"type": "bind", "source": str(tree), "target": "/tree", "propagation": "rshared"}
    asked: dict[str, Any] = {"volumes": [f"{tree}:/tree:rshared"]} if option == "volumes" else {"mounts": [described]}
    more = {"capabilities": ["SYS_ADMIN"], "security_opts": ["seccomp=unconfined"], "restart_policy": "always"}
    host.container(**asked, **more, state="present")
    before = len(table.read_text().splitlines())
    host.container()
    pinned = 1  # its network namespace
    assert len(table.read_text().splitlines()) == before + pinned
    assert host.exec("c", "mount", "-t", "tmpfs", "tmpfs", "/tree/out").rc == 0
    assert _mounted(tree / "out")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "in"], check=True)
    assert host.exec("c", "grep", "-q", "/tree/in ", "/proc/mounts").rc == 0
    first = host.pid()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: host.pid() not in (0, first))
    assert host.exec("c", "mount", "-t", "tmpfs", "tmpfs", "/tree/again").rc == 0
    assert _mounted(tree / "again")
    assert len(table.read_text().splitlines()) == before + pinned + 3
    assert not host.container(**asked).plan
    host.absent("c")
    for name in ("in", "out", "again"):
        subprocess.run(["umount", tree / name], check=True)


def test_what_is_not_on_a_shared_mount_cannot_be_shared(host: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"{tmp_path}, which is to be shared, is not on a shared mount"):
        host.container(volumes=[f"{tmp_path}:/x:rshared"])
    made = {"type": "bind", "source": str(tmp_path / "a/b"), "target": "/x", "propagation": "shared"}
    with pytest.raises(NotFound, match="is not on a shared mount"):
        host.container(mounts=[{**made, "create_mountpoint": True}])
    assert not list(tmp_path.glob("a"))
