# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding an address that is free: by a map of each range, which the leases put right where it is wrong."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
from collections.abc import Iterator
from typing import Callable, Optional

from ..core.errors import Conflict
from ..core.specs.network import Subnet
from . import freemap, inet
from .leases import Alive, Pool, is_address, kept_back, leases, names
from .pools import Net

SURPRISES = 64  # as many leases that the map did not know of are put right one by one


def next_free(pool: Pool, version: int, container_id: str, alive: Alive) -> str:
    """An address of a family that nobody has; `Conflict` when there is none."""
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
    span, kept = _range(entry), kept_back(entry)
    with _map(pool, span) as places:
        for surprises, ip in enumerate(_addresses(places, span, kept)):
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


def _addresses(places: freemap.FreeMap, span: Net, kept: frozenset[int]) -> Iterator[str]:
    """The free ones in the order in which they are given out."""
    first = int(span.network_address)
    for place in places.each_free():
        if first + place not in kept:
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
    listed = (name for name in names(pool.directory) if is_address(name))
    return freemap.rebuild(path, size, (_place(span, ip) for ip in listed if inet.within(ip, span)))


def mark(pool: Pool, ip: str, how: Callable[[freemap.FreeMap, int], None]) -> None:
    """In whichever map has the address. A map that is missing is made when an address is searched for."""
    for name in names(pool.maps):
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
