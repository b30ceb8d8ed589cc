# SPDX-License-Identifier: GPL-3.0-or-later
"""A laboratory: this process moves into network and mount namespaces of its own, where it may break everything.

::

    neighbour 192.0.2.2, 2001:db8:1::2 ── lan0 192.0.2.1, 2001:db8:1::1, the host of the test ── bridges ── containers

Containers are namespaces with a record, no process. Each test runs with every driver of the packet filter, and when it
ends, everything is removed and nothing may be left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.names import new_id
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Observer, silent
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import (
    NetworkSpec,
    PublishedPort,
    Subnet,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import ContainerRecord, Endpoint
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import every
from ansible_collections.mini.containers.plugins.module_utils.engine.records import save
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount import set_propagation
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MS_PRIVATE
from ansible_collections.mini.containers.plugins.module_utils.network import netns, ports, veth

from ..waiting import PATIENCE

MS_BIND = 4096
HOST_LAN, NEIGHBOUR_LAN = "192.0.2.1", "192.0.2.2"
HOST_LAN6, NEIGHBOUR_LAN6 = "2001:db8:1::1", "2001:db8:1::2"


def sh(command: str) -> str:
    """Run a command of the test's own; its failure is the test's."""
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclasses.dataclass
class Container:
    """A namespace that stands for a container."""

    id: str
    netns: str
    ips: dict[str, attach.Leased]

    @property
    def ip(self) -> str:
        return next(iter(self.ips.values())).ipv4

    @property
    def ipv6(self) -> str:
        return next(iter(self.ips.values())).ipv6


class Lab:
    """The host under test and its neighbour."""

    def __init__(self, firewall: str) -> None:
        self.firewall = firewall
        self.paths = Paths("/run/lab/state", "/run/lab/run")
        self.neighbour = "/run/neighbour"
        self.children: list[int] = []
        self._sockets: list[socket.socket] = []

    def network(
        self, name: str = "web", *subnets: str, force: bool = False, observer: Observer = silent, **fields: object
    ) -> object:
        """Create a network, or bring it up to date."""
        if any(":" in subnet for subnet in subnets):
            fields["enable_ipv6"] = True
        spec = NetworkSpec(name, ipam_config=tuple(map(Subnet, subnets)), **fields)
        return ensure(self.paths, spec, frozenset(fields), firewall=self.firewall, force=force, observer=observer)

    def define(self, *networks: str, name: str = "box") -> Container:
        """A container's record and addresses, as the engine makes them."""
        container_id = new_id()
        record = ContainerRecord(container_id, name, "", ContainerSpec(name), "")
        save(record, self.paths.container_record(container_id))
        ips = {net: attach.lease(self.paths, attach.load(self.paths, net), container_id) for net in networks}
        endpoints = {net: Endpoint(found.ipv4, index, found.ipv6) for index, (net, found) in enumerate(ips.items())}
        save(dataclasses.replace(record, networks=endpoints), self.paths.container_record(container_id))
        return Container(container_id, self.paths.netns(container_id), ips)

    def container(self, *networks: str, name: str = "box") -> Container:
        """A container that is connected."""
        box = self.define(*(networks or ("web",)), name=name)
        netns.create(box.netns)
        veth.raise_loopback(box.netns)
        self.connect(box)
        return box

    def connect(self, box: Container) -> None:
        """Lay all its cables."""
        for index, (name, found) in enumerate(box.ips.items()):
            plug = attach.Plug(tuple(filter(None, found)), index, index)
            attach.connect(self.paths, attach.load(self.paths, name), box.id, box.netns, plug)

    def publish(self, box: Container, *texts: object) -> list[tuple[PublishedPort, str]]:
        """Publish ports of a container's first network."""
        ips = {4: box.ip, 6: box.ipv6}
        wanted = [(port, ips[version]) for port in ports.parse(texts) for version in port.versions if ips[version]]
        attach.publish(self.paths, {box.id: wanted})
        return wanted

    def discard(self, box: Container) -> None:
        """Remove a container, as the engine does."""
        attach.unpublish(self.paths, [box.id])
        netns.delete(box.netns)
        for name in box.ips:
            attach.release(self.paths, name, box.id)
        sh(f"rm -r {self.paths.container(box.id)}")

    def serve(self, where: str | None, port: int, protocol: str = "tcp", ip: str = "0.0.0.0") -> None:
        """A child that answers every caller with the caller's address."""
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with netns.entered(where):
            server = socket.socket(_family(ip), kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((ip, port))
        if protocol == "tcp":
            server.listen(16)
        self._fork(lambda: _answer(server, protocol))
        server.close()

    def _fork(self, work: object) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        self.children.append(pid)

    def ask(self, where: str | None, ip: str, port: int, protocol: str = "tcp") -> str:
        """The answer, awaited for a while: an interface that is new may lose packets, and a machine may be busy."""
        deadline = time.monotonic() + PATIENCE / 2
        while not (answer := self._ask_once(where, ip, port, protocol, 2.0)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return answer

    def _ask_once(self, where: str | None, ip: str, port: int, protocol: str, timeout: float) -> str:
        """The answer, an empty string when there is none."""
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        with netns.entered(where):
            client = socket.socket(_family(ip), kind)
        with client:
            client.settimeout(timeout)
            try:
                client.connect((ip, port))
                client.send(b"?")
                return client.recv(100).decode()
            except OSError:
                return ""

    def refuses(self, where: str | None, ip: str, port: int, protocol: str = "tcp") -> bool:
        """Whether there is no answer within a time that suffices here a hundred times over."""
        return self._ask_once(where, ip, port, protocol, 0.3) == ""

    def arrives(self, source: str | None, ip: str, port: int, target: str | None, target_port: int) -> bool:
        """Whether a UDP packet that is sent from one namespace to an address reaches a port in another."""
        with netns.entered(target):
            catcher = socket.socket(_family(ip), socket.SOCK_DGRAM)
        with netns.entered(source):
            sender = socket.socket(_family(ip), socket.SOCK_DGRAM)
        with catcher, sender:
            catcher.bind(("", target_port))
            catcher.settimeout(0.3)
            sender.sendto(b"?", (ip, port))
            with contextlib.suppress(TimeoutError, socket.timeout):
                return catcher.recv(10) == b"?"
        return False

    def stop(self) -> None:
        """End the children."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.children = []

    def clear(self) -> None:
        """Remove all containers and networks."""
        self.stop()
        containers = Path(self.paths.containers)
        for directory in containers.iterdir() if containers.exists() else []:
            attach.unpublish(self.paths, [directory.name])
            netns.delete(self.paths.netns(directory.name))
        for record in list(every(self.paths)):
            remove(self.paths, record.name, force=True)

    def rules(self) -> list[str]:
        """All that is ours in the packet filter. Elements of a set come in any order, and the ends have brackets."""
        saved = [line for line in sh("iptables-save; ip6tables-save").splitlines() if line.startswith("-A")]
        listed = sh("nft -s list table inet mini 2>/dev/null || true").splitlines()
        plain = [line.strip().removeprefix("elements = { ").rstrip(" ,}") for line in listed]
        return [line for line in saved if "mini:" in line] + list(filter(None, plain))

    def snapshot(self) -> dict[str, str]:
        """What could be left behind."""
        return {
            # Not their state: lan0 may come up a moment after it was set up.
            "links": sh("ip -o link | sed 's/.*qdisc//; s/ state [A-Z]*//'"),
            "names": sh("ls /sys/class/net"),
            "addresses": sh("ip -o -4 address; ip -o -6 address show scope global"),
            # A new interface has no carrier for a moment, which is the kernel's business.
            "routes": sh("ip -4 route show table all; ip -6 route").replace(" linkdown", ""),
            "rules": sh("iptables-save | grep -v '^[#:*]\\|^COMMIT' || true"),
            "chains": sh("iptables-save | grep '^:MINI' || true"),
            "ours": self.rules(),
            "forwarding": sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"),
            "mounts": sh("grep -o ' /run[^ ]* ' /proc/self/mountinfo | sort"),
            "networks": sh(f"ls -A {self.paths.networks} {self.paths.host_changes} 2>/dev/null || true"),
        }


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _answer(server: socket.socket, protocol: str) -> None:
    while True:
        if protocol == "udp":
            _data, peer = server.recvfrom(100)
            server.sendto(peer[0].encode(), peer)
        else:
            connection, peer = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(100)
                connection.sendall(peer[0].encode())


@contextlib.contextmanager
def own_namespaces():
    """Leave the host's network and mounts behind, and come back."""
    home, root = (os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (".", "/"))
    kinds = (("net", libc.CLONE_NEWNET), ("mnt", libc.CLONE_NEWNS))
    fds = [(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY), flag) for kind, flag in kinds]
    libc.unshare(libc.CLONE_NEWNET | libc.CLONE_NEWNS)
    try:
        set_propagation(MS_PRIVATE)
        libc.mount("tmpfs", "/run", "tmpfs")
        libc.mount("sysfs", "/sys", "sysfs")
        yield
    finally:
        for fd, flag in fds:
            libc.setns(fd, flag)
            os.close(fd)
        # To come back to a mount namespace is to come to its root, which need not be the one we had.
        os.fchdir(root)
        os.chroot(".")
        os.fchdir(home)
        for fd in (home, root):
            os.close(fd)


IPTABLES = ("iptables-nft", "iptables-legacy")


@pytest.fixture(params=["nftables", *IPTABLES])
def backend(request):
    """The driver, and for iptables which of both kinds the administrator has chosen."""
    return request.param


def choose_iptables(kind: str) -> None:
    """What update-alternatives does, in this mount namespace."""
    links = {entry.name: os.readlink(entry) for entry in os.scandir("/etc/alternatives") if entry.is_symlink()}
    libc.mount("tmpfs", "/etc/alternatives", "tmpfs")
    for family, verb in itertools.product(("iptables", "ip6tables"), ("", "-save", "-restore")):
        links[family + verb] = f"/usr/sbin/{family}-{kind}{verb}"
    for name, target in links.items():
        os.symlink(target, f"/etc/alternatives/{name}")


@pytest.fixture
def lab(backend):
    """A laboratory; what is left in it at the end fails the test."""
    with own_namespaces():
        choose_iptables(backend.partition("-")[2] or "nft")
        made = Lab(backend.partition("-")[0])
        # A new namespace has the machine's value (devconf_inherit_init_net).
        sh("ip link set lo up; cd /proc/sys/net; echo 0 > ipv4/ip_forward; echo 0 > ipv6/conf/all/forwarding")
        netns.create(made.neighbour)
        sh(
            f"ip link add lan0 type veth peer name eth0 && ip address add {HOST_LAN}/24 dev lan0 && ip link set lan0 up"
            f" && nsenter --net={made.neighbour} true && ip link set eth0 netns {made.neighbour}"
            f" && ip address add {HOST_LAN6}/64 dev lan0 nodad && echo 0 > /proc/sys/net/ipv6/conf/all/forwarding"
            f" && nsenter --net={made.neighbour} sh -ec 'ip link set lo up;"
            " echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip link set eth0 up;"
            f" ip address add {NEIGHBOUR_LAN}/24 dev eth0; ip route add default via {HOST_LAN};"
            f" ip address add {NEIGHBOUR_LAN6}/64 dev eth0 nodad; ip route add default via {HOST_LAN6}'"
        )
        before = made.snapshot()
        try:
            yield made
            made.clear()
            deadline = time.monotonic() + PATIENCE  # the kernel takes interfaces of a dead namespace down later
            while made.snapshot() != before and time.monotonic() < deadline:
                time.sleep(0.02)
            assert made.snapshot() == before
        finally:
            made.stop()
            netns.delete(made.neighbour)
