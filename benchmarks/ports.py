# SPDX-License-Identifier: GPL-3.0-or-later
"""New connections through a published port, from a neighbour: where it is the only one, and the last of thousands."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.network import netns

from .samples import Samples

MANY, FEW = 5_000, 200
TIMES = 5
CONNECTIONS = 100
BACKLOG = 4096  # the kernel shakes hands; nobody waits for the server's turn on the processor
FIRST, INSIDE = 20_000, 80
HOST, NEIGHBOUR = "198.18.0.1", "198.18.0.2"  # RFC 2544: for benchmarks
BOX = "b" * 64


def measure(samples: Samples, directory: Path, ports: int, rounds: int) -> None:
    """With each driver, one port and many of them in turn."""
    with _neighbour(directory) as neighbour:
        for firewall in ("nftables", "iptables"):
            with _server(directory / f"ports-{firewall}", firewall) as (paths, ip):
                for _turn in range(rounds):
                    for verb, count in (("one", 1), ("many", ports)):
                        listed = [(PublishedPort(FIRST + number, INSIDE), ip) for number in range(count)]
                        attach.publish(paths, {BOX: listed})
                        _connect(neighbour, FIRST + count - 1)
                        for _time in range(TIMES):
                            with samples.timed(f"connect {firewall}-{verb}"):
                                _connect(neighbour, FIRST + count - 1)
                attach.unpublish(paths, [BOX])


def _connect(neighbour: str, port: int) -> None:
    with netns.entered(neighbour):
        clients = [socket.socket() for _ in range(CONNECTIONS)]
    for client in clients:
        client.connect((HOST, port))
        client.close()


@contextlib.contextmanager
def _neighbour(directory: Path) -> Iterator[str]:
    """A host beside this one."""
    place = str(directory / "neighbour")
    netns.create(place)
    _sh(
        f"ip link add bench0 type veth peer name eth0; ip link set eth0 netns {place};"
        f" ip address add {HOST}/24 dev bench0; ip link set bench0 up;"
        f" nsenter --net={place} sh -ec 'ip address add {NEIGHBOUR}/24 dev eth0; ip link set eth0 up'"
    )
    try:
        yield place
    finally:
        _sh("ip link del bench0")
        netns.delete(place)


@contextlib.contextmanager
def _server(directory: Path, firewall: str) -> Iterator[tuple[Paths, str]]:
    """A network, and a namespace in it that stands for a container whose process accepts and closes."""
    paths = Paths(str(directory / "state"), str(directory / "run"))
    outcome = ensure(paths, NetworkSpec("bench"), frozenset(), firewall=firewall)
    assert outcome.network is not None
    ip = outcome.network["IPAM"]["Config"][0]["Gateway"].rpartition(".")[0] + ".2"
    place = paths.netns(BOX)
    attach.create_netns(place)
    attach.connect(paths, attach.load(paths, "bench"), BOX, place, attach.Plug((ip,), 0))
    with netns.entered(place):
        server = socket.create_server((ip, INSIDE), backlog=BACKLOG)
    child = os.fork()
    if child == 0:
        while True:
            server.accept()[0].close()
    server.close()
    try:
        yield paths, ip
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        attach.delete_netns(place)
        remove(paths, "bench", force=True)


def _sh(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True)
