# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a port of the host is in use by one of its own processes, and by which.

Trying to bind is the only answer that counts, as the kernel gives it. It is also given for a TCP port of which only
closing or outgoing connections are left (TIME_WAIT); those do no harm, because they keep their translation.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional

from ..core.errors import BadInput, Conflict
from ..core.specs.network import PublishedPort

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}
_NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ALL = {4: "0.0.0.0", 6: "::"}
_LISTEN = "0A"


class Entry(NamedTuple):
    """A line of /proc/net/tcp or udp."""

    state: str
    inode: str


def check_free(ports: Iterable[PublishedPort], versions: Collection[int] = (4,)) -> None:
    """`Conflict` names the port and the process that has it. Looked at are the addresses of these families."""
    pairs = [(each, version) for each in ports for version in each.versions if version in versions]
    for port, version in pairs:
        problem = _bind(port, version)
        if problem == errno.EADDRINUSE and not _only_connections(port):
            raise Conflict(
                f"cannot publish {port.show()}: port {port.host_port}/{port.protocol} of this host is in use"
                f" by {holder(port) or 'a process that cannot be found'}",
                hint="stop that process, or publish another host port",
            )
        if problem == errno.EADDRNOTAVAIL:
            raise BadInput(
                f"cannot publish {port.show()}: {port.host_ip} is not an address of this host",
                hint="give one of the host's addresses, or none for all of them",
            )


def is_local(ip: str) -> bool:
    """Whether something could listen on the IPv4 address here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((ip, 0))
        except OSError:
            return False
    return True


def _bind(port: PublishedPort, version: int) -> int:
    """The errno of a try to bind, 0 when it worked, or when the kernel does not have the protocol: nobody listens then.

    A socket for IPv4 meets those for IPv6 that take IPv4 as well; one for IPv6 is tried for that alone.
    """
    try:
        kind = _KINDS[port.protocol] | socket.SOCK_CLOEXEC
        probe = socket.socket(_FAMILIES[version], kind, _NUMBERS[port.protocol])
    except OSError:
        return 0
    with probe:
        try:
            if version == 6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((port.host_ip or _ALL[version], port.host_port))
        except OSError as exc:
            return exc.errno or 0
    return 0


def _only_connections(port: PublishedPort) -> bool:
    entries = _entries(port)
    return port.protocol == "tcp" and bool(entries) and all(entry.state != _LISTEN for entry in entries)


def holder(port: PublishedPort) -> Optional[str]:
    """`process 71 (nginx)`: found by the socket's inode among all open files."""
    inodes = {f"socket:[{entry.inode}]" for entry in _entries(port) if port.protocol == "udp" or entry.state == _LISTEN}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as handle:
                        return f"process {pid} ({handle.read().strip()})"
        except OSError:
            continue
    return None


def _entries(port: PublishedPort) -> list[Entry]:
    found = []
    for family in ("", "6"):
        try:
            with open(f"/proc/thread-self/net/{port.protocol}{family}", encoding="ascii") as handle:
                lines = handle.readlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == port.host_port:
                found.append(Entry(fields[3], fields[9]))
    return found
