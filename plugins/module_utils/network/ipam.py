# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of a network, one symbolic link a lease.

::

    lease/10.213.0.2 -> 4f1c…       the address belongs to that container
    lease/4f1c…      -> 10.213.0.2  the way back: which address the container has
    cursor           -> 10.213.0.2  the address given last

A link comes into being together with its content, and fails when the name is taken: no crash can leave a lease that
belongs to nobody, and no two processes can get one address. A lease counts only while its owner exists; an orphan is
swept when its address is looked at. The search begins behind the address given last, so that one just freed, which
neighbours may still have in their ARP caches, is given again as late as possible.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable

from ..core.errors import BadInput, Conflict
from ..linux.files import make_private_dir

Alive = Callable[[str, str], bool]
"""Whether the container with this id still exists and may hold this address."""


def short(container_id: str) -> str:
    """A container without a name."""
    return container_id[:12]


@dataclass(frozen=True)
class Pool:
    """A network's addresses and the directory that keeps its leases. The caller holds the network's lock."""

    network: str
    subnet: str
    gateway: str
    directory: str
    cursor: str
    reserved: tuple[str, ...] = ()
    title: Callable[[str], str] = short

    @property
    def net(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)

    def owner(self, ip: str) -> str:
        """The container a lease names, or an empty string."""
        return _read(os.path.join(self.directory, ip))

    def held_by(self, container_id: str) -> str:
        """The address a container has here, or an empty string."""
        ip = _read(os.path.join(self.directory, container_id))
        return ip if ip and self.owner(ip) == container_id else ""


def take(pool: Pool, container_id: str, wanted: str, alive: Alive) -> str:
    """An address for the container: the wanted one, else the one it has, else the next free one."""
    held = pool.held_by(container_id)
    if held and wanted in ("", held):
        return held
    ip = _check(pool, wanted, container_id, alive) if wanted else _next_free(pool, container_id, alive)
    make_private_dir(pool.directory)
    if held:
        give_back(pool, container_id)
    _point(os.path.join(pool.directory, container_id), ip)
    _point(os.path.join(pool.directory, ip), container_id)
    if not wanted:
        _point(pool.cursor, ip)
    return ip


def give_back(pool: Pool, container_id: str) -> None:
    """Free the container's address, if it has one."""
    held = pool.held_by(container_id)
    for name in (held, container_id):
        if name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(pool.directory, name))


def leases(directory: str) -> dict[str, str]:
    """All leases: address → container id."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return {}
    found = {name: _read(os.path.join(directory, name)) for name in names if _is_address(name)}
    return {ip: owner for ip, owner in found.items() if owner}


def holders(directory: str) -> list[str]:
    """Whoever has a lease."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(directory) if not _is_address(name))
    return []


def _check(pool: Pool, wanted: str, container_id: str, alive: Alive) -> str:
    """A static address, if it can be had."""
    try:
        address = ipaddress.IPv4Address(wanted)
    except ValueError as exc:
        raise BadInput(f"{wanted!r} is not an IPv4 address", hint=f"give one of {pool.subnet}") from exc
    if address not in pool.net:
        raise BadInput(
            f"{wanted} is outside of the network {pool.network} ({pool.subnet})", hint="give an address of its subnet"
        )
    if str(address) in _kept_back(pool):
        raise BadInput(
            f"{wanted} is reserved in the network {pool.network} (the gateway, or the network's own addresses)",
            hint=f"give another address of {pool.subnet}",
        )
    owner = pool.owner(str(address))
    if owner and owner != container_id and alive(owner, str(address)):
        raise Conflict(
            f"{wanted} in the network {pool.network} is taken by the container {pool.title(owner)}",
            hint="give another address, or remove that container",
        )
    return str(address)


def _next_free(pool: Pool, container_id: str, alive: Alive) -> str:
    kept_back = _kept_back(pool)
    for ip in _round(pool.net, _read(pool.cursor)):
        if ip in kept_back:
            continue
        owner = pool.owner(ip)
        if not owner or owner == container_id or not alive(owner, ip):
            return ip
    raise Conflict(
        f"the network {pool.network} has no free address left in {pool.subnet}",
        hint="remove containers that are not needed, or use a network with a larger subnet",
    )


def _round(net: ipaddress.IPv4Network, last: str) -> Iterator[str]:
    """Every address of the network once, beginning behind `last`."""
    first, size = int(net.network_address), net.num_addresses
    begin = 0
    if last and _is_address(last) and ipaddress.IPv4Address(last) in net:
        begin = int(ipaddress.IPv4Address(last)) - first + 1
    for step in range(size):
        yield str(ipaddress.IPv4Address(first + (begin + step) % size))


def _kept_back(pool: Pool) -> frozenset[str]:
    net = pool.net
    return frozenset({str(net.network_address), str(net.broadcast_address), pool.gateway, *pool.reserved})


def _is_address(name: str) -> bool:
    return name.count(".") == 3 and name.replace(".", "").isdigit()


def _read(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _point(path: str, target: str) -> None:
    """Make `path` a link to `target`. A name that exists is an orphan, a stale hint or our own: it is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.symlink(target, path)
