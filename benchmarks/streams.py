# SPDX-License-Identifier: GPL-3.0-or-later
"""How long TCP takes to carry many bytes to a container: from a sibling in its network, and from the host.

The sockets are opened in the containers' network namespaces by us, so that it is bridges and rules that are compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Optional, Protocol

from ansible_collections.mini.containers.plugins.module_utils.network import netns

from .samples import Samples

MUCH, LITTLE = 4 * 2**30, 2**24
_CHUNK = 2**20
_PORT = 5001
_SIOCGIFADDR = 0x8915  # netdevice(7)


class Networked(Protocol):
    """An engine whose containers have a network."""

    name: str

    def run(self, number: int) -> None: ...

    def remove(self, number: int) -> None: ...

    def netns(self, number: int) -> str:
        """The path of the container's network namespace."""


def measure(samples: Samples, engines: Sequence[Networked], size: int, rounds: int) -> None:
    """Two containers of each engine in turn, since they publish the same ports."""
    for _turn in range(rounds):
        for engine in engines:
            with _two(engine) as (source, target):
                _carry(samples, f"{engine.name} stream-between", source, target, size)
                _carry(samples, f"{engine.name} stream-in", None, target, size)


@contextlib.contextmanager
def _two(engine: Networked) -> Iterator[tuple[str, str]]:
    engine.run(1)
    engine.run(2)
    try:
        yield engine.netns(1), engine.netns(2)
    finally:
        engine.remove(1)
        engine.remove(2)


def _carry(samples: Samples, key: str, source: Optional[str], target: str, size: int) -> None:
    with netns.entered(target):
        server = socket.create_server((_address("eth0"), _PORT))
    child = os.fork()
    if child == 0:
        _swallow(server)
    with netns.entered(source):
        client = socket.socket()
    with server, client, samples.timed(key):
        client.connect(server.getsockname())
        piece = bytes(_CHUNK)
        for _number in range(size // _CHUNK):
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        os.waitpid(child, 0)


def _address(interface: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        raw = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("40s", interface.encode()))
    return socket.inet_ntoa(raw[20:24])


def _swallow(server: socket.socket) -> None:
    """Read to the end, in a child that does nothing else."""
    room = bytearray(_CHUNK)
    connection, _client = server.accept()
    while connection.recv_into(room):
        pass
    os._exit(0)
