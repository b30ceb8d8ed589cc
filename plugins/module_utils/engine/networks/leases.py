# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container has which address of a network."""

from __future__ import annotations

from functools import partial

from ...core.paths import Paths
from ...linux.files import locked
from ...network import ipam
from ..records import peek
from .record import NetworkRecord, load


def lease(paths: Paths, record: NetworkRecord, container_id: str, wanted_ip: str = "") -> str:
    """An address in the network, the container's until `release`. Asked again, the same is given."""
    with locked(paths.lock("network", record.name), f"the network {record.name}"):
        load(paths, record.name)
        return ipam.take(pool_of(paths, record), container_id, wanted_ip, _alive(paths, record.name))


def release(paths: Paths, network: str, container_id: str) -> None:
    """Give the container's address back; a network that is gone has none."""
    with locked(paths.lock("network", network), f"the network {network}"):
        ipam.give_back(ipam.Pool(network, "", "", paths.leases(network), ""), container_id)


def members(paths: Paths, network: str) -> list[str]:
    """The ids of the containers that have an address here."""
    return sorted(set(addresses(paths, network).values()))


def holders(paths: Paths, network: str) -> list[str]:
    """The ids of all that have a lease here, orphans too: found without a look at any record."""
    return ipam.holders(paths.leases(network))


def addresses(paths: Paths, network: str) -> dict[str, str]:
    """The addresses in use and the containers that have them; orphans left out."""
    alive = _alive(paths, network)
    return {ip: owner for ip, owner in ipam.leases(paths.leases(network)).items() if alive(owner, ip)}


def pool_of(paths: Paths, record: NetworkRecord) -> ipam.Pool:
    """The network's addresses, and where their leases are."""
    entry, name = record.spec.of_family(4)[0], record.name
    reserved = tuple(entry.aux_addresses.values())
    cursor = paths.lease_cursor(name)
    return ipam.Pool(
        name, entry.subnet, entry.gateway, paths.leases(name), cursor, reserved, title=partial(title, paths)
    )


def title(paths: Paths, container_id: str) -> str:
    """The container as a person knows it: its name, or the short id when no record tells."""
    name = (peek(paths, container_id) or {}).get("name")
    return name if isinstance(name, str) and name else container_id[:12]


def _alive(paths: Paths, network: str) -> ipam.Alive:
    def check(container_id: str, ip: str) -> bool:
        """Its record names the address; or no address here yet, since the lease comes first; or cannot be read."""
        record = peek(paths, container_id)
        if record is None:
            return False
        networks = record.get("networks")
        endpoint = networks.get(network) if isinstance(networks, dict) else None
        return not isinstance(endpoint, dict) or endpoint.get("ipv4") == ip

    return check
