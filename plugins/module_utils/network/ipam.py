# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of a network, one symbolic link a lease.

::

    lease/10.213.0.2 -> 4f1c…                  the address belongs to that container
    lease/fd4c::2    -> 4f1c…
    lease/4f1c…      -> 10.213.0.2,fd4c::2     the way back: which addresses the container has
    free/10.213.0.0-24                         a map of what is free (`freemap.py`), one a range

A link comes into being together with its content, and fails when the name is taken: no crash can leave a lease that
belongs to nobody, and no two processes can get one address. A lease counts only while its owner exists; an orphan is
swept when its address is looked at. The search begins behind the address given last, so that one just freed, which
neighbours may still have in their ARP caches, is given again as late as possible.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

from ..core.errors import BadInput, Conflict
from ..core.specs import Subnet
from ..linux.files import make_private_dir
from . import freemap, inet
from .pools import Net, unusable

Alive = Callable[[str, str], bool]
"""Whether the container with this id still exists and may hold this address."""

SURPRISES = 64  # as many leases that the map did not know of are put right one by one


def short(container_id: str) -> str:
    """A container without a name."""
    return container_id[:12]


@dataclass(frozen=True)
class Pool:
    """A network's addresses, the directory that keeps its leases, and that of its maps. The caller holds the network's
    lock."""

    network: str
    subnets: tuple[Subnet, ...]
    directory: str
    maps: str
    title: Callable[[str], str] = short

    def owner(self, ip: str) -> str:
        """The container a lease names, or an empty string."""
        return _read(os.path.join(self.directory, ip))

    def held_by(self, container_id: str) -> tuple[str, ...]:
        """The addresses a container has here."""
        listed = _read(os.path.join(self.directory, container_id)).split(",")
        return tuple(ip for ip in listed if ip and self.owner(ip) == container_id)

    def of_family(self, version: int) -> tuple[Subnet, ...]:
        """The subnets of IPv4 or of IPv6."""
        return tuple(entry for entry in self.subnets if entry.version == version)


def take(pool: Pool, container_id: str, wanted: Iterable[str], alive: Alive) -> tuple[str, ...]:
    """An address of each family for the container: the wanted one, else the one it has, else the next free one.

    When one cannot be had, all stays as it was.
    """
    held = pool.held_by(container_id)
    asked = [_check(pool, text, container_id, alive) for text in wanted if text]
    taken = []
    for version in dict.fromkeys(entry.version for entry in pool.subnets):
        ours = [ip for ip in (*asked, *held) if _entry(pool.of_family(version), ip)]
        taken.append(ours[0] if ours else _next_free(pool, version, container_id, alive))
    if tuple(taken) != held:
        _hold(pool, container_id, held, taken, asked)
    return tuple(taken)


def _hold(pool: Pool, container_id: str, held: Sequence[str], taken: Sequence[str], asked: Collection[str]) -> None:
    """The way back comes first: by it all is found again that a crash cuts short. The next search begins behind an
    address that was not asked for."""
    make_private_dir(pool.directory)
    _point(os.path.join(pool.directory, container_id), ",".join(dict.fromkeys([*taken, *held])))
    for ip in taken:
        if ip not in held:
            _point(os.path.join(pool.directory, ip), container_id)
            _mark(pool, ip, freemap.FreeMap.take if ip in asked else freemap.FreeMap.give)
    if set(held) - set(taken):
        for ip in set(held) - set(taken):
            _free(pool, ip)
        _point(os.path.join(pool.directory, container_id), ",".join(taken))


def give_back(pool: Pool, container_id: str) -> None:
    """Free the container's addresses, if it has any."""
    for ip in pool.held_by(container_id):
        _free(pool, ip)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(pool.directory, container_id))


def _free(pool: Pool, ip: str) -> None:
    """The map first: one that calls a lease free is put right when the next search comes by, but not the contrary."""
    _mark(pool, ip, freemap.FreeMap.free)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(pool.directory, ip))


def sort(pool: Pool) -> None:
    """Remove the leases that are of no subnet, or of an address that nobody may have; the maps are made anew."""
    for ip in leases(pool.directory):
        entry = _entry(pool.subnets, ip)
        if entry is None or inet.number(ip) in _kept_back(entry):
            os.unlink(os.path.join(pool.directory, ip))
    for name in _names(pool.maps):
        os.unlink(os.path.join(pool.maps, name))


def leases(directory: str) -> dict[str, str]:
    """All leases: address → container id."""
    found = {name: _read(os.path.join(directory, name)) for name in _names(directory) if _is_address(name)}
    return {ip: owner for ip, owner in found.items() if owner}


def holders(directory: str) -> list[str]:
    """Whoever has a lease."""
    return sorted(name for name in _names(directory) if not _is_address(name))


# Static addresses


def _check(pool: Pool, wanted: str, container_id: str, alive: Alive) -> str:
    """A static address, if it can be had."""
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError as exc:
        raise BadInput(f"{wanted!r} is not an IP address", hint=f"give one of {_shown(pool.subnets)}") from exc
    entry = _entry(pool.subnets, wanted)
    if entry is None:
        there = _shown(pool.of_family(address.version)) or f"it has no IPv{address.version}"
        raise BadInput(
            f"{wanted} is outside of the network {pool.network} ({there})", hint="give an address of its subnets"
        )
    if int(address) in _kept_back(entry):
        raise BadInput(
            f"{wanted} is reserved in the network {pool.network} (gateway, auxiliary address, or the network's own)",
            hint=f"give another address of {entry.subnet}",
        )
    owner = pool.owner(str(address))
    if owner and owner != container_id and alive(owner, str(address)):
        raise Conflict(
            f"{wanted} in the network {pool.network} is taken by the container {pool.title(owner)}",
            hint="give another address, or remove that container",
        )
    return str(address)


def _entry(entries: Iterable[Subnet], ip: str) -> Optional[Subnet]:
    """Whose address it is."""
    return next((entry for entry in entries if inet.within(ip, inet.network(entry.subnet))), None)


def _kept_back(entry: Subnet) -> frozenset[int]:
    """Addresses that no container gets."""
    named = (entry.gateway, *entry.aux_addresses.values())
    own = (int(address) for address in unusable(inet.network(entry.subnet)))
    return frozenset((*own, *(inet.number(ip) for ip in named if ip)))


# Automatic addresses


def _next_free(pool: Pool, version: int, container_id: str, alive: Alive) -> str:
    entries = pool.of_family(version)
    for prepare in (_trust, _forget, _sweep):
        for entry in entries:
            prepare(pool, _range(entry), alive)
            ip = _search(pool, entry, container_id, alive)
            if ip:
                return ip
    where = ", ".join(entry.iprange or entry.subnet for entry in entries)
    raise Conflict(
        f"the network {pool.network} has no free address left in {where}",
        hint="remove containers that are not needed, or give the network a larger or another subnet",
    )


def _search(pool: Pool, entry: Subnet, container_id: str, alive: Alive) -> str:
    """By the map, which is put right where it is wrong; empty when there is none, or the map is wrong too often."""
    span, kept_back = _range(entry), _kept_back(entry)
    with _map(pool, span) as places:
        for surprises, ip in enumerate(_addresses(places, span, kept_back)):
            owner = pool.owner(ip)
            if not owner or owner == container_id or not alive(owner, ip):
                return ip
            places.take(_place(span, ip))
            if surprises == SURPRISES:
                break
    return ""


def _trust(_pool: Pool, _span: Net, _alive: Alive) -> None:
    """The map is right."""


def _forget(pool: Pool, span: Net, _alive: Alive) -> None:
    """The map is wrong: it will be made anew."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(pool, span))


def _sweep(pool: Pool, span: Net, alive: Alive) -> None:
    """Leases of containers that are gone are removed. Each is looked at, which takes a while in a large network."""
    for ip, owner in leases(pool.directory).items():
        if not alive(owner, ip):
            os.unlink(os.path.join(pool.directory, ip))
    _forget(pool, span, alive)


def _addresses(places: freemap.FreeMap, span: Net, kept_back: frozenset[int]) -> Iterator[str]:
    """The free ones in the order in which they are given out."""
    first = int(span.network_address)
    for place in places.each_free():
        if first + place not in kept_back:
            yield inet.text(first + place, span.version)


def _range(entry: Subnet) -> Net:
    """Where automatic addresses come from."""
    return _beginning(entry.iprange or entry.subnet)


@functools.cache
def _beginning(subnet: str) -> Net:
    """Of a range that has more addresses than a map has places, the first part."""
    net = ipaddress.ip_network(subnet)
    bits = net.max_prefixlen - (freemap.LARGEST - 1).bit_length()
    return net if net.prefixlen >= bits else ipaddress.ip_network((net.network_address, bits))


def _place(span: Net, ip: str) -> int:
    return inet.number(ip) - int(span.network_address)


# The maps


def _path(pool: Pool, span: Net) -> str:
    return os.path.join(pool.maps, str(span).replace("/", "-"))


def _map(pool: Pool, span: Net) -> freemap.FreeMap:
    """The map of a range, made of the leases where it is missing or damaged."""
    path, size = _path(pool, span), span.num_addresses
    found = freemap.find(path, size)
    if found is not None:
        return found
    listed = (name for name in _names(pool.directory) if _is_address(name))
    return freemap.rebuild(path, size, (_place(span, ip) for ip in listed if inet.within(ip, span)))


def _mark(pool: Pool, ip: str, how: Callable[[freemap.FreeMap, int], None]) -> None:
    """In whichever map has the address. A map that is missing is made when an address is searched for."""
    for name in _names(pool.maps):
        span = _span(name)
        if span is not None and inet.within(ip, span):
            places = freemap.find(os.path.join(pool.maps, name), span.num_addresses)
            if places is not None:
                with places:
                    how(places, _place(span, ip))


def _span(name: str) -> Optional[Net]:
    try:
        return inet.network(name.replace("-", "/"))
    except ValueError:
        return None


# Names


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _is_address(name: str) -> bool:
    """Ids are hexadecimal."""
    return "." in name or ":" in name


def _shown(entries: Iterable[Subnet]) -> str:
    return ", ".join(entry.subnet for entry in entries)


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
