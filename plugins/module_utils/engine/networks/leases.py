# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which address of a network."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, NamedTuple

from ...core.errors import Conflict
from ...core.paths import Paths
from ...linux.files import locked
from ...network import ipam
from ...network import leases as links
from ..records import peek
from .record import NetworkRecord, load


class Leased(NamedTuple):
    """A container's addresses in a network; empty where that does not have the family."""

    ipv4: str
    ipv6: str


def lease(
    paths: Paths, record: NetworkRecord, container_id: str, *wanted: str, mac: str = "", heir_of: str = ""
) -> Leased:
    """Addresses in the network, the container's until `release`. Asked again, the same are given.

    `mac` is the MAC address that it asks for, `heir_of` the container that it replaces.
    """
    with locked(paths.lock("network", record.name), f"the network {record.name}"):
        holder = mac_holder(paths, record.name, mac, (container_id, heir_of)) if mac else ""
        if holder:
            raise mac_taken(title(paths, container_id), record.name, mac, holder)
        pool = pool_of(paths, load(paths, record.name))
        taken = ipam.take(pool, container_id, wanted, _alive(paths, record.name))
    return Leased(*(next((ip for ip in taken if (":" in ip) == ipv6), "") for ipv6 in (False, True)))


def release(paths: Paths, network: str, container_id: str) -> None:
    """Give the container's addresses back; a network that is gone has none."""
    with locked(paths.lock("network", network), f"the network {network}"):
        ipam.give_back(links.Pool(network, (), paths.leases(network), paths.free_maps(network)), container_id)


def sort_leases(paths: Paths, record: NetworkRecord) -> None:
    """The subnets have changed: addresses that the network does not have any more are free. The caller holds the
    network's lock."""
    ipam.sort(pool_of(paths, record))


def members(paths: Paths, network: str) -> list[str]:
    """The ids of the containers that have an address here."""
    return sorted(addresses(paths, network))


def holders(paths: Paths, network: str) -> list[str]:
    """The ids of all that have a lease here, orphans too: found without a look at any record."""
    return links.holders(paths.leases(network))


def mac_holder(paths: Paths, network: str, mac: str, but: Collection[str]) -> str:
    """The name of the container that asks for this MAC address in the network, running or not; empty when none does.
    Those that are made from IP addresses differ as these do."""
    others = (container_id for container_id in holders(paths, network) if container_id not in but)
    return next((title(paths, other) for other in others if asked_mac(peek(paths, other) or {}, network) == mac), "")


def mac_taken(name: str, network: str, mac: str, holder: str) -> Conflict:
    """Two containers with one address would take turns at receiving what is sent to either."""
    return Conflict(
        f"cannot connect {name} to {network}: the container {holder} has the MAC address {mac} there",
        hint="give another mac_address, or leave it out",
    )


def asked_mac(container: dict[str, Any], network: str) -> str:
    """The MAC address that a container's task gives, of its record as plain JSON."""
    entries = (container.get("spec") or {}).get("networks") or ()
    return next((entry.get("mac_address", "") for entry in entries if entry.get("name") == network), "")


def addresses(paths: Paths, network: str) -> dict[str, list[str]]:
    """The containers and their addresses, IPv4 first; orphans left out."""
    alive = _alive(paths, network)
    found: dict[str, list[str]] = {}
    for ip, owner in sorted(links.leases(paths.leases(network)).items(), key=lambda item: (":" in item[0], item)):
        if alive(owner, ip):
            found.setdefault(owner, []).append(ip)
    return found


def pool_of(paths: Paths, record: NetworkRecord) -> links.Pool:
    """The network's addresses, and where their leases are."""
    name = record.name
    return links.Pool(
        name, record.spec.ipam_config, paths.leases(name), paths.free_maps(name), title=partial(title, paths)
    )


def title(paths: Paths, container_id: str) -> str:
    """The container as a person knows it: its name, or the short id when no record tells."""
    name = (peek(paths, container_id) or {}).get("name")
    return name if isinstance(name, str) and name else container_id[:12]


def _alive(paths: Paths, network: str) -> links.Alive:
    def check(container_id: str, ip: str) -> bool:
        """Its record names the address; or none of that family yet, since the lease comes first; or cannot be read."""
        record = peek(paths, container_id)
        if record is None:
            return False
        networks = record.get("networks")
        endpoint = networks.get(network) if isinstance(networks, dict) else None
        recorded = endpoint.get("ipv6" if ":" in ip else "ipv4") if isinstance(endpoint, dict) else None
        return not recorded or recorded == ip

    return check
