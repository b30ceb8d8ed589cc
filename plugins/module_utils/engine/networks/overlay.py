# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task asks of a network over many hosts, and what is there, to what it needs besides a bridge. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Optional

from ...core.errors import BadInput, Conflict
from ...core.names import interface_name
from ...core.specs.network import NetworkSpec, Vxlan
from ...network import overlay, slices
from ...network.hosts import Far
from ...network.overlay import Overlay, OverlayState


def device_name(bridge: str) -> str:
    """The interface name of the device beside a network's bridge."""
    return interface_name("vx-", bridge)


def overlay_of(spec: NetworkSpec, bridge: str, alias: str) -> Optional[Overlay]:
    """The device of such a network, None for all others."""
    vxlan = spec.vxlan
    if vxlan is None:
        return None
    return Overlay(
        name=device_name(bridge),
        alias=alias,
        vni=vxlan.vni,
        port=vxlan.port,
        local=vxlan.address,
        gateways=tuple(entry.gateway for entry in spec.ipam_config),
        subnets=vxlan.subnets,
        mtu=spec.mtu,
        peers=tuple(slices.peers(vxlan)),
    )


def mtu_of(spec: NetworkSpec, underlay: int, given: Collection[str]) -> int:
    """The largest packet that fits into the underlay's with the outer headers; a smaller one, if the task says so."""
    vxlan = spec.vxlan
    if vxlan is None:
        return spec.mtu
    if not underlay:
        raise Conflict(
            f"this host does not have the address {vxlan.address}, which the hosts of {spec.name} know it by",
            hint="put its interface up, or correct vxlan.hosts",
        )
    room = underlay - overlay.OVERHEAD[ipaddress.ip_address(vxlan.address).version]
    if "mtu" in given and spec.mtu > room:
        raise BadInput(
            f"mtu: {spec.mtu} does not fit into packets of {underlay} bytes between the hosts", hint=f"give {room}"
        )
    return spec.mtu if "mtu" in given else room


def names_of(spec: NetworkSpec, wanted: Optional[Far], known: Far) -> Far:
    """What is to be known of the containers on other hosts. Of a host whose names are not given, those stay that are
    known; a host that is none any more, and this one, have none."""
    vxlan = spec.vxlan
    if vxlan is None:
        return {}
    peers = vxlan.hosts.keys() - {vxlan.host}
    return {host: table for host, table in sorted({**known, **(wanted or {})}.items()) if host in peers and table}


def missing(state: OverlayState, wanted: Overlay) -> str:
    """What is wrong with the entries, for a person; empty when nothing is."""
    lacking, extra = wanted.entries - state.entries, state.entries - wanted.entries
    parts = [f"{len(found)} {what}" for found, what in ((lacking, "missing"), (extra, "not wanted")) if found]
    return ", ".join(parts)


def changed_hosts(before: Optional[Vxlan], after: Optional[Vxlan]) -> str:
    """`+h4 −h2`."""
    old, new = (set(one.hosts.items()) if one else set() for one in (before, after))
    return " ".join(
        [*(f"+{name}" for name, _ip in sorted(new - old)), *(f"−{name}" for name, _ip in sorted(old - new))]
    )
