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
import ipaddress
import os
from collections.abc import Collection, Iterable, Sequence

from ..core.errors import BadInput, Conflict
from ..core.specs.network import Subnet
from ..linux.files import make_private_dir
from . import inet
from .freemap import FreeMap
from .leases import Alive, Pool, kept_back, leases, names, place_of, point
from .vacancies import mark, next_free


def take(pool: Pool, container_id: str, wanted: Iterable[str], alive: Alive) -> tuple[str, ...]:
    """An address of each family for the container: the wanted one, else the one it has, else the next free one.

    When one cannot be had, all stays as it was.
    """
    held = pool.held_by(container_id)
    asked = [_check(pool, text, container_id, alive) for text in wanted if text]
    taken = []
    for version in dict.fromkeys(entry.version for entry in pool.subnets):
        ours = [ip for ip in (*asked, *held) if place_of(pool.of_family(version), ip)]
        taken.append(ours[0] if ours else next_free(pool, version, container_id, alive))
    if tuple(taken) != held:
        _hold(pool, container_id, held, taken, asked)
    return tuple(taken)


def _hold(pool: Pool, container_id: str, held: Sequence[str], taken: Sequence[str], asked: Collection[str]) -> None:
    """The way back comes first: by it all is found again that a crash cuts short. The next search begins behind an
    address that was not asked for."""
    make_private_dir(pool.directory)
    point(os.path.join(pool.directory, container_id), ",".join(dict.fromkeys([*taken, *held])))
    for ip in taken:
        if ip not in held:
            point(os.path.join(pool.directory, ip), container_id)
            mark(pool, ip, FreeMap.take if ip in asked else FreeMap.give)
    if set(held) - set(taken):
        for ip in set(held) - set(taken):
            _free(pool, ip)
        point(os.path.join(pool.directory, container_id), ",".join(taken))


def give_back(pool: Pool, container_id: str) -> None:
    """Free the container's addresses, if it has any."""
    for ip in pool.held_by(container_id):
        _free(pool, ip)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(pool.directory, container_id))


def _free(pool: Pool, ip: str) -> None:
    """The map first: one that calls a lease free is put right when the next search comes by, but not the contrary."""
    mark(pool, ip, FreeMap.free)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(pool.directory, ip))


def sort(pool: Pool) -> None:
    """Remove the leases that are of no subnet, or of an address that nobody may have; the maps are made anew."""
    for ip in leases(pool.directory):
        entry = place_of(pool.subnets, ip)
        if entry is None or inet.number(ip) in kept_back(entry):
            os.unlink(os.path.join(pool.directory, ip))
    for name in names(pool.maps):
        os.unlink(os.path.join(pool.maps, name))


# Static addresses


def _check(pool: Pool, wanted: str, container_id: str, alive: Alive) -> str:
    """A static address, if it can be had."""
    try:
        address = ipaddress.ip_address(wanted.replace("%", " "))  # a zone of RFC 4007 is nothing here
    except ValueError as exc:
        raise BadInput(f"{wanted!r} is not an IP address", hint=f"give one of {_shown(pool.subnets)}") from exc
    entry = place_of(pool.subnets, wanted)
    if entry is None:
        there = _shown(pool.of_family(address.version)) or f"it has no IPv{address.version}"
        raise BadInput(
            f"{wanted} is outside of the network {pool.network} ({there})", hint="give an address of its subnets"
        )
    if int(address) in kept_back(entry):
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


def _shown(entries: Iterable[Subnet]) -> str:
    return ", ".join(entry.subnet for entry in entries)
