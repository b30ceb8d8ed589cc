# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel knows of other hosts, entry by entry: routes, neighbours, forwarding (rtnetlink(7), bridge(8))."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from . import rtnl
from .rtnl import RT_SCOPE_UNIVERSE, RT_TABLE_MAIN, RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_PRIORITY, RTN_UNICAST, Rtnl
from .wire import NLM_F_CREATE, NLM_F_REPLACE, attribute, attributes, number32

RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
NDA_DST, NDA_LLADDR, NDA_IFINDEX = 1, 2, 8
NUD_PERMANENT, NTF_SELF, AF_BRIDGE = 0x80, 0x02, 7
RTA_PREFSRC, RTN_UNREACHABLE, RTNH_F_ONLINK, RTPROT_STATIC = 7, 7, 4, 4

_NDMSG = struct.Struct("=BxxxiHBB")
_IFINFO = struct.Struct("=BxHiII")
_RTMSG = struct.Struct("=BBBBBBBBI")


class Entry(NamedTuple):
    """One thing that the kernel knows of a device: a `route` to a subnet by a gateway behind it, a `neighbour` by its
    MAC address, the `forwarding` of a MAC address to a host. Or that a subnet is `unreachable`, but for such routes."""

    kind: str
    key: str
    value: str = ""


def read(host: Rtnl, index: int, metric: int) -> Iterator[Entry]:
    """All entries of the device with this index. Unreachable subnets belong to none: theirs have this metric."""
    for route in rtnl.routes(host):
        destination = f"{route.destination}/{route.prefix}"
        if route.kind == RTN_UNREACHABLE and route.metric == metric:
            yield Entry("unreachable", destination)
        elif route.index == index and route.gateway:
            yield Entry("route", destination, route.gateway)
    for raw in host.dump("list forwarding", RTM_GETNEIGH, _IFINFO.pack(AF_BRIDGE, 0, index, 0, 0)):
        yield from _neighbour(raw, AF_BRIDGE, index)
    for family in rtnl.FAMILIES:
        asked = _NDMSG.pack(family, 0, 0, 0, 0) + number32(NDA_IFINDEX, index)
        for raw in host.dump("list neighbours", RTM_GETNEIGH, asked):
            yield from _neighbour(raw, family, index)


def _neighbour(raw: bytes, family: int, index: int) -> Iterator[Entry]:
    """Only what is permanent is of our making. A kernel that does not know how to select answers with everything."""
    answered, where, state, _flags, _kind = _NDMSG.unpack_from(raw)
    found = attributes(raw[_NDMSG.size :])
    if (answered, where) == (family, index) and state & NUD_PERMANENT and NDA_DST in found:
        mac, address = found.get(NDA_LLADDR, b"").hex(":"), str(ipaddress.ip_address(found[NDA_DST]))
        yield Entry("forwarding", mac, address) if family == AF_BRIDGE else Entry("neighbour", address, mac)


def add(host: Rtnl, entry: Entry, index: int, metric: int, sources: Mapping[int, str]) -> None:
    """Make it so. `sources` are the host's own addresses, by version, for what it sends along such a route itself."""
    created = NLM_F_CREATE | NLM_F_REPLACE
    if entry.kind in ("route", "unreachable"):
        body = _route(entry, index, metric)
        source = sources.get(ipaddress.ip_network(entry.key).version)
        if entry.kind == "route" and source:
            body += attribute(RTA_PREFSRC, ipaddress.ip_address(source).packed)
        host.request(f"add the route to {entry.key}", RTM_NEWROUTE, created, body)
    else:
        host.request(f"add the {entry.kind} entry of {entry.key}", RTM_NEWNEIGH, created, _place(entry, index))


def delete(host: Rtnl, entry: Entry, index: int, metric: int) -> None:
    """Make it not so; nothing to do when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if entry.kind in ("route", "unreachable"):
            host.request(f"delete the route to {entry.key}", RTM_DELROUTE, 0, _route(entry, index, metric))
        else:
            host.request(f"delete the {entry.kind} entry of {entry.key}", RTM_DELNEIGH, 0, _place(entry, index))


def _route(entry: Entry, index: int, metric: int) -> bytes:
    net = ipaddress.ip_network(entry.key)
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    kind, flags = (RTN_UNICAST, RTNH_F_ONLINK) if entry.kind == "route" else (RTN_UNREACHABLE, 0)
    head = _RTMSG.pack(family, net.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, kind, flags)
    body = head + attribute(RTA_DST, net.network_address.packed)
    if entry.kind == "unreachable":
        return body + number32(RTA_PRIORITY, metric)
    return body + attribute(RTA_GATEWAY, ipaddress.ip_address(entry.value).packed) + number32(RTA_OIF, index)


def _place(entry: Entry, index: int) -> bytes:
    if entry.kind == "forwarding":
        mac, address = entry.key, ipaddress.ip_address(entry.value)
        family, flags = AF_BRIDGE, NTF_SELF
    else:
        mac, address = entry.value, ipaddress.ip_address(entry.key)
        family, flags = socket.AF_INET if address.version == 4 else socket.AF_INET6, 0
    head = _NDMSG.pack(family, index, NUD_PERMANENT, flags, 0)
    return head + attribute(NDA_DST, address.packed) + attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
