# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of a network: its record, and the kernel. Reads only, and without pyroute2."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Callable, Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...core.specs.network import NetworkSpec
from ...linux.files import read_text
from ...network import bridge, overlay, pools, rtnl
from ...network.bridge import BridgeState
from ...network.firewall.changes import Present
from ...network.hosts import Far
from ...network.leases import short
from ...network.listeners import is_local
from ...network.overlay import OverlayState
from ...network.pools import UNICAST
from ...network.rtnl import Link, Route, Rtnl
from .far import far_names
from .host import forwarding, has_ipv6, identity
from .leases import addresses, title
from .overlay import device_name
from .packetfilter import Sight, in_use
from .record import BRIDGE, HOST_BINDING, NetworkRecord, bridge_alias, bridge_name, every, find

RESOLV_CONF = "/etc/resolv.conf"


@dataclass(frozen=True)
class Observation:
    """One network as it is.

    `members` are containers and their addresses, `title` tells their names. `taken` are the subnets that a
    new one must not overlap, each with the words that name it. `forwarding` are the families that the host forwards,
    `ipv6` says whether it has that, `mtu` is that of its way out (of a network that is there it does not matter),
    `identity` tells it from other hosts. `last` says that there is no other network. Of a network over many hosts,
    `underlay` is the MTU of the interface that leads to them, 0 when there is none, and `names` are those of the
    containers there.
    `not_local` is the address for published ports that the task asks for, where the host does not have it.
    `firewall` is the driver that has the rules, `rules` are those of the one that is to have them.
    """

    name: str
    bridge_name: str
    alias: str
    record: Optional[NetworkRecord] = None
    corrupt: bool = False
    directory: bool = False
    bridge: Optional[BridgeState] = None
    rules: Present = field(default_factory=Present)
    firewall: str = ""
    forwarding: frozenset[int] = frozenset()
    ipv6: bool = True
    mtu: int = 0
    identity: str = ""
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    title: Callable[[str], str] = short
    taken: Mapping[str, str] = field(default_factory=dict)
    nameservers: tuple[str, ...] = ()
    last: bool = False
    overlay: Optional[OverlayState] = None
    underlay: int = 0
    not_local: str = ""
    names: Far = field(default_factory=dict)


def observe(paths: Paths, name: str, wanted: Optional[NetworkSpec] = None, firewall: str = "") -> Observation:
    """The network called `name`. What a new subnet could overlap is looked up only where there will be one."""
    corrupt = False
    try:
        record = find(paths, name)
    except CorruptRecord:
        record, corrupt = None, True
    interface = record.bridge if record else _bridge_name(paths, name, wanted)
    members = addresses(paths, name)
    vxlan = (wanted and wanted.vxlan) or (record and record.spec.vxlan)
    ipv6 = any(spec.enable_ipv6 for spec in (wanted, record and record.spec) if spec)
    ipv6 = ipv6 or bool(vxlan and ":" in vxlan.address)
    binding = wanted.driver_options.get(HOST_BINDING, "") if wanted else ""
    others = [other for other in every(paths) if other.name != name]
    with Rtnl() as host:
        state = bridge.observe(host, interface)
        new = record is None or _more(wanted, record.spec)
        taken, mtu = _around(host, (interface, device_name(interface)), others) if new else ({}, 0)
        device = overlay.observe(host, device_name(interface))
        underlay = overlay.underlay(host, vxlan.address) if vxlan else 0
    return Observation(
        name=name,
        bridge_name=interface,
        alias=bridge_alias(paths, name),
        record=record,
        corrupt=corrupt,
        directory=os.path.isdir(paths.network(name)),
        bridge=state,
        rules=Sight(paths, firewall, ipv6=ipv6).network(interface),
        firewall=in_use(paths),
        forwarding=forwarding(),
        ipv6=has_ipv6(),
        identity=identity(),
        members=members,
        title=partial(title, paths),
        taken=taken,
        mtu=mtu,
        nameservers=tuple(pools.nameservers(read_text(RESOLV_CONF, ""))),
        last=not others,
        overlay=device,
        underlay=underlay,
        names=far_names(paths, name),
        not_local="" if not binding or is_local(binding) else binding,
    )


def observe_kernel(paths: Paths, record: NetworkRecord, sight: Sight) -> Observation:
    """Only what a repair needs: the cost does not grow with the containers in the network."""
    with Rtnl() as host:
        state = bridge.observe(host, record.bridge)
        device = overlay.observe(host, device_name(record.bridge)) if record.spec.vxlan else None
    return Observation(
        name=record.name,
        bridge_name=record.bridge,
        alias=bridge_alias(paths, record.name),
        record=record,
        directory=True,
        bridge=state,
        rules=sight.network(record.bridge),
        firewall=in_use(paths),
        forwarding=forwarding(),
        ipv6=has_ipv6(),
        overlay=device,
    )


def _more(wanted: Optional[NetworkSpec], before: NetworkSpec) -> bool:
    """Whether the task asks for a subnet that the network does not have, or for a family, which takes one."""
    if wanted is None:
        return False
    families = (wanted.enable_ipv4 and not before.enable_ipv4) or (wanted.enable_ipv6 and not before.enable_ipv6)
    return families or not set(wanted.subnets) <= set(before.subnets)


def _bridge_name(paths: Paths, name: str, wanted: Optional[NetworkSpec]) -> str:
    """The one that the task gives, or ours."""
    return (wanted.driver_options.get(BRIDGE, "") if wanted else "") or bridge_name(paths, name)


def _around(host: Rtnl, own: Sequence[str], others: list[NetworkRecord]) -> tuple[dict[str, str], int]:
    """What a new subnet could overlap, and the MTU of the host's way out."""
    links, routes = {link.index: link for link in rtnl.links(host)}, rtnl.routes(host)
    out = [route for route in routes if not route.prefix and route.index in links and route.kind == UNICAST]
    first = min(out, key=lambda route: (route.version, route.metric), default=None)
    return _taken(links, routes, own, others), links[first.index].mtu if first else 0


def _taken(
    links: Mapping[int, Link], routes: Sequence[Route], own: Sequence[str], others: list[NetworkRecord]
) -> dict[str, str]:
    """Networks come first: their bridges' routes are theirs, and the network's name tells a person more."""
    names = {index: link.name for index, link in links.items()}
    networks = {subnet: f"the network {other.name} ({subnet})" for other in others for subnet in other.spec.subnets}
    found = pools.taken_by_routes(routes, names, own)
    return {**networks, **{subnet: words for subnet, words in found.items() if subnet not in networks}}
