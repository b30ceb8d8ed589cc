# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers on networks: names, published ports, and what is mended when somebody breaks it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import HOST_BINDING
from ansible_collections.mini.containers.plugins.module_utils.linux import libc

from .waiting import PATIENCE, eventually

SERVE = ["sh", "-c", "echo hello from $HOSTNAME > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
LAN = [{"name": "lan"}]


def test_containers_find_each_other_by_name_and_alias(host: Any) -> None:
    host.network()
    host.container("early", networks=LAN)
    host.container("web", command=SERVE, networks=[{"name": "lan", "aliases": ["www"]}])
    host.container("late", networks=LAN)
    for client in ("early", "late"):
        for name in ("web", "www"):
            assert _fetch_inside(host, client, f"http://{name}/") == "hello from web\n"
    host.absent("web")
    assert b"web" not in host.exec("early", "cat", "/etc/hosts").stdout
    host.absent("early", "late")
    host.no_network("lan")


def test_a_published_port_answers_on_every_address_of_the_host(host: Any) -> None:
    host.network()
    host.container("web", command=SERVE, networks=LAN, published_ports=["8080:80"])
    gateway = facts(host.paths, host.record("web"))["NetworkSettings"]["Gateway"]
    for address in ("127.0.0.1", gateway):
        assert "hello from web" in _fetch(address, 8080)
    host.container("client", networks=LAN)
    for client in ("client", "web"):
        assert _fetch_inside(host, client, f"http://{gateway}:8080/") == "hello from web\n"
    host.absent("web", "client")
    with pytest.raises(OSError, match="refused"):
        _fetch("127.0.0.1", 8080, patience=0)
    host.no_network("lan")


def test_udp_and_one_address_only(host: Any) -> None:
    host.network()
    host.container("dns", networks=LAN, published_ports=["127.0.0.1:5353:53/udp"])
    with _udp_server_in(host.pid("dns"), 53), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", 5353))
        # A packet may be lost before the new interfaces are up.
        eventually(lambda: _ask(client) == b"answer to ping")
        client.settimeout(PATIENCE)
        client.connect((facts(host.paths, host.record("dns"))["NetworkSettings"]["Gateway"], 5353))
        client.send(b"ping")
        with pytest.raises(OSError, match="refused"):
            client.recv(512)
    host.absent("dns")
    host.no_network("lan")


def test_ports_change_without_a_restart(host: Any) -> None:
    host.network()
    host.container("web", command=SERVE, networks=LAN, published_ports=["8080:80"])
    pid = host.pid("web")
    assert host.container("web", published_ports=["8081:80"]).plan
    assert host.pid("web") == pid
    assert "hello" in _fetch("127.0.0.1", 8081)
    with pytest.raises(OSError, match="refused"):
        _fetch("127.0.0.1", 8080, patience=0)
    host.absent("web")
    host.no_network("lan")


def test_a_network_says_where_its_containers_publish(host: Any) -> None:
    """Only those that name no address of the host; and what the network says later reaches those that run."""
    host.network(driver_options={HOST_BINDING: "127.0.0.1"})
    ports = ["8080:80", "0.0.0.0:8081:80"]
    host.container("web", command=SERVE, networks=LAN, published_ports=ports)
    assert not host.container("web", networks=LAN, published_ports=ports).plan
    pid, shown = host.pid("web"), facts(host.paths, host.record("web"))["NetworkSettings"]
    assert {(entry["HostIp"], entry["HostPort"]) for entry in shown["Ports"]["80/tcp"]} == {
        ("127.0.0.1", "8080"),
        ("0.0.0.0", "8081"),
    }
    assert "hello" in _fetch("127.0.0.1", 8080)
    assert "hello" in _fetch(shown["Gateway"], 8081)
    with pytest.raises(OSError, match="refused"):
        _fetch(shown["Gateway"], 8080, patience=0)
    host.network(driver_options={})
    assert [step.name for step in host.container("web").plan] == ["claim-ports", "publish", "write-record"]
    assert not host.container("web", published_ports=ports).plan
    assert "hello" in _fetch(shown["Gateway"], 8080)
    assert host.pid("web") == pid
    host.absent("web")
    host.no_network("lan")


def test_a_port_of_another_container_is_refused(host: Any) -> None:
    host.network()
    host.container("one", networks=LAN, published_ports=["8080:80"])
    with pytest.raises(Conflict, match="container 'one' has it"):
        host.container("two", networks=LAN, published_ports=["127.0.0.1:8080:80"])
    host.container("one", state="stopped")
    host.container("two", networks=LAN, published_ports=["8080:80"])
    with pytest.raises(Conflict, match="container 'two' has it"):
        host.container("one")
    host.absent("one", "two")
    host.no_network("lan")


@pytest.mark.parametrize(("kind", "suffix"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
def test_a_port_of_a_process_is_refused(host: Any, kind: socket.SocketKind, suffix: str) -> None:
    host.network()
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", 9090))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        with pytest.raises(Conflict, match=f"9090/{suffix} of this host is in use by"):
            host.container("c", networks=LAN, published_ports=[f"9090:80/{suffix}"])
    host.no_network("lan")


@pytest.mark.parametrize(
    ("damage", "step"),
    [
        (["nft", "flush", "ruleset"], "restore-rules"),
        (["nft", "flush", "map", "inet", "mini", "any4"], "publish"),
        (
            ["sh", "-c", "ip link del $(ip -o link | sed -n 's/.*: \\(mini-v[^@]*\\|mv[^@]*\\|veth[^@]*\\)@.*/\\1/p')"],
            "connect",
        ),
        (["sh", "-c", "ip link del $(ip -o link show type bridge | cut -d: -f2)"], "create-bridge"),
        (["sysctl", "-q", "-w", "net.ipv4.ip_forward=0"], "allow-forwarding"),
    ],
)
def test_damage_is_mended_by_the_same_task(host: Any, damage: list[str], step: str) -> None:
    host.network()
    task = {"command": SERVE, "networks": LAN, "published_ports": ["8080:80"]}
    host.container("web", **task)
    pid = host.pid("web")
    assert "hello" in _fetch("127.0.0.1", 8080)
    subprocess.run(damage, check=True)
    assert step in [done.name for done in host.container("web", **task).plan]
    assert not host.container("web", **task).plan
    assert host.pid("web") == pid
    assert "hello" in _fetch("127.0.0.1", 8080)
    host.absent("web")
    host.no_network("lan")


def test_a_limit_changed_by_hand_is_set_back(host: Any) -> None:
    host.container(memory="64M", pids_limit=20)
    container_id = host.record().id
    for path in (f"/sys/fs/cgroup/pids/mini/{container_id}/pids.max", f"/sys/fs/cgroup/mini/{container_id}/pids.max"):
        if Path(path).exists():
            Path(path).write_text("99")
    (step,) = host.container(memory="64M", pids_limit=20).plan
    assert "pids_limit: 99 → 20" in step.describe()
    assert host.cgroup_file("c", "pids", "pids.max") == "20"
    host.absent("c")


def test_the_address_stays_when_the_container_restarts(host: Any) -> None:
    host.network()
    host.container("c", networks=LAN)
    before = host.record("c").networks
    host.container("c", state="stopped")
    host.container("other", networks=LAN)
    host.container("c")
    assert host.record("c").networks == before
    assert host.record("other").networks["lan"].ipv4 != before["lan"].ipv4
    host.absent("c", "other")
    host.no_network("lan")


def test_a_full_network_is_one_sentence(host: Any) -> None:
    host.network("tiny", "10.99.0.0/30")
    host.container("only", networks=[{"name": "tiny"}])
    with pytest.raises(MiniError, match="tiny"):
        host.container("more", networks=[{"name": "tiny"}])
    host.absent("only")
    host.no_network("tiny")


def test_a_network_in_use_is_not_removed(host: Any) -> None:
    host.network()
    host.container("c", networks=LAN)
    with pytest.raises(Conflict, match="containers are attached"):
        host.no_network("lan")
    host.absent("c")
    host.no_network("lan")


def test_without_a_network_there_is_loopback(host: Any) -> None:
    assert "127.0.0.1" in host.run("ip -4 addr show lo").stdout


def test_two_networks(host: Any) -> None:
    host.network("front")
    host.network("back", internal=True)
    host.container("db", command=SERVE, networks=[{"name": "back"}])
    host.container("web", command=SERVE, networks=[{"name": "front"}, {"name": "back"}])
    host.container("user", networks=[{"name": "front"}])
    assert _fetch_inside(host, "web", "http://db/") == "hello from db\n"
    assert _fetch_inside(host, "user", "http://web/") == "hello from web\n"
    address = host.record("db").networks["back"].ipv4
    assert host.exec("user", "nc", "-w", "2", address, "80").rc != 0
    host.absent("db", "web", "user")
    host.no_network("front", "back")


def _ask(client: socket.socket) -> bytes:
    with contextlib.suppress(OSError):
        client.send(b"ping")
        return client.recv(512)
    return b""


@contextlib.contextmanager
def _udp_server_in(pid: int, port: int) -> Iterator[None]:
    """A server in the container's network: busybox has none that answers by UDP."""
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                libc.setns(namespace.fileno(), libc.CLONE_NEWNET)
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("0.0.0.0", port))
            os.write(ready_write, b"x")
            while True:
                data, peer = server.recvfrom(512)
                server.sendto(b"answer to " + data, peer)
        finally:
            os._exit(1)
    os.read(ready_read, 1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready_read)
        os.close(ready_write)


def _fetch(address: str, port: int, patience: float = PATIENCE) -> str:
    deadline = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection((address, port), timeout=PATIENCE) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _fetch_inside(host: Any, client: str, url: str) -> str:
    return str(eventually(lambda: host.exec(client, "wget", "-q", "-O", "-", url).stdout).decode())
