# SPDX-License-Identifier: GPL-3.0-or-later
"""The leases of a network as they are kept: one symbolic link an address (`ipam.py`)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, Optional

from ..core.specs.network import Subnet
from . import inet
from .pools import unusable

Alive = Callable[[str, str], bool]
"""Whether the container with this id still exists and may hold this address."""


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
        return read(os.path.join(self.directory, ip))

    def held_by(self, container_id: str) -> tuple[str, ...]:
        """The addresses a container has here."""
        listed = read(os.path.join(self.directory, container_id)).split(",")
        return tuple(ip for ip in listed if ip and self.owner(ip) == container_id)

    def of_family(self, version: int) -> tuple[Subnet, ...]:
        """The subnets of IPv4 or of IPv6."""
        return tuple(entry for entry in self.subnets if entry.version == version)


def leases(directory: str) -> dict[str, str]:
    """All leases: address → container id."""
    found = {name: read(os.path.join(directory, name)) for name in names(directory) if is_address(name)}
    return {ip: owner for ip, owner in found.items() if owner}


def holders(directory: str) -> list[str]:
    """Whoever has a lease."""
    return sorted(name for name in names(directory) if not is_address(name))


def place_of(entries: Iterable[Subnet], ip: str) -> Optional[Subnet]:
    """Whose address it is."""
    return next((entry for entry in entries if inet.within(ip, inet.network(entry.subnet))), None)


def kept_back(entry: Subnet) -> frozenset[int]:
    """Addresses that no container gets."""
    named = (entry.gateway, *entry.aux_addresses.values())
    own = (int(address) for address in unusable(inet.network(entry.subnet)))
    return frozenset((*own, *(inet.number(ip) for ip in named if ip)))


def names(directory: str) -> list[str]:
    """What is in a directory, which need not be there."""
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def is_address(name: str) -> bool:
    """Whether a lease has this name, and not a container: ids are hexadecimal."""
    return "." in name or ":" in name


def read(path: str) -> str:
    """Where a link leads, or an empty string."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def point(path: str, target: str) -> None:
    """Make `path` a link to `target`. A name that exists is an orphan, a stale hint or our own: it is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.symlink(target, path)
