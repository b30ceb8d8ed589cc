# SPDX-License-Identifier: GPL-3.0-or-later
"""A network in the words of docker_network_info, so that playbooks move over."""

from __future__ import annotations

import hashlib
from typing import Any

from ...core.paths import Paths
from ...core.specs.network import NetworkSpec, Subnet, Vxlan
from ...network import slices
from ...network.veth import mac_of
from ..records import peek
from .leases import addresses, asked_mac
from .record import BRIDGE, NetworkRecord


def describe(paths: Paths, record: NetworkRecord) -> dict[str, Any]:
    """`docker network inspect`."""
    spec = record.spec
    options = {**spec.driver_options, **({"com.docker.network.driver.mtu": str(spec.mtu)} if spec.mtu else {})}
    return {
        "Id": record.id,
        "Name": spec.name,
        "Created": record.created,
        "Scope": "local",
        "Driver": spec.driver,
        "EnableIPv4": spec.enable_ipv4,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": {"Driver": "default", "Options": {}, "Config": [_pool(spec, entry) for entry in spec.ipam_config]},
        "Internal": spec.internal,
        "Options": {**options, BRIDGE: record.bridge},
        "Labels": dict(spec.labels),
        "Containers": _containers(paths, record),
        **({"Peers": _peers(spec.vxlan), "Vni": spec.vxlan.vni} if spec.vxlan else {}),
    }


def _pool(spec: NetworkSpec, entry: Subnet) -> dict[str, Any]:
    """Of a network over many hosts, this host gives out addresses of a part."""
    if spec.vxlan:
        return {"Subnet": spec.whole(entry), "Gateway": entry.gateway, "IPRange": entry.subnet}
    more = {"IPRange": entry.iprange, "AuxiliaryAddresses": dict(entry.aux_addresses)}
    return {"Subnet": entry.subnet, "Gateway": entry.gateway, **{key: value for key, value in more.items() if value}}


def _peers(vxlan: Vxlan) -> list[dict[str, Any]]:
    """The name of docker's key, and its two of a peer."""
    return [
        {"Name": peer.name, "IP": peer.address, "Subnets": [part.subnet for part in peer.slices]}
        for peer in slices.peers(vxlan)
    ]


def endpoint_id(container_id: str, network: str) -> str:
    """A container's place in a network, as an id."""
    return hashlib.sha256(f"{container_id}/{network}".encode()).hexdigest()


def _containers(paths: Paths, record: NetworkRecord) -> dict[str, Any]:
    found = {}
    for container_id, ips in addresses(paths, record.name).items():
        known = peek(paths, container_id) or {}
        found[container_id] = {
            "Name": known.get("name", ""),
            "EndpointID": endpoint_id(container_id, record.name),
            "MacAddress": asked_mac(known, record.name) or mac_of(ips[0]).hex(":"),
            "IPv4Address": next((record.with_prefix(ip) for ip in ips if ":" not in ip), ""),
            "IPv6Address": next((record.with_prefix(ip) for ip in ips if ":" in ip), ""),
        }
    return found
