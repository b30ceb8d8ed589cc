# SPDX-License-Identifier: GPL-3.0-or-later
"""The few rtnetlink messages of the attach path, on a bare socket (rtnetlink(7)).

Everything else about links is done by pyroute2, in `netlink.py`: it is ten times more convenient, and costs 150 ms to
import, which is too much for a container that starts in ten.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Optional

from .wire import (
    NESTED,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    attribute,
    attributes,
    nested,
    number32,
    text,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD = 18, 20, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_INFO_PEER, IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 1, 4, 33
VXLAN_ID, VXLAN_LOCAL, VXLAN_LEARNING, VXLAN_PORT, VXLAN_LOCAL6 = 1, 4, 7, 15, 17
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
IFA_F_NODAD = 0x02
IFF_UP = 1
LOOPBACK_IFINDEX = 1  # in every namespace, include/net/flow.h
FAMILIES = (socket.AF_INET, socket.AF_INET6)
RTPROT_RA = 9
LOOPBACK_METRIC = 2048
RT_TABLE_LOCAL, RTN_LOCAL = 255, 2
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RTN_UNICAST = 254, 3, 0, 253, 1

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")


class Rtnl(Netlink):
    """A socket to the kernel's interfaces, addresses and routes in one network namespace."""

    protocol = socket.NETLINK_ROUTE


@dataclass(frozen=True)
class Link:
    """A network interface. `master` is the index of the bridge it is a port of, or 0; `data` are attributes that only
    its kind has. `isolated` is that of a port."""

    index: int
    name: str
    up: bool
    mac: str
    mtu: int
    master: int
    alias: str
    kind: str
    data: bytes = b""
    isolated: bool = False


@dataclass(frozen=True)
class Address:
    """An address of an interface."""

    index: int
    ip: str
    prefix: int


@dataclass(frozen=True)
class Route:
    """A route; `destination` is `0.0.0.0` or `::` with prefix 0 for the default one. `advertised`: a router has told of
    it (RFC 4861)."""

    destination: str
    prefix: int
    gateway: str
    index: int
    metric: int
    kind: int
    advertised: bool = False

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.destination else 4

    @property
    def link_local(self) -> bool:
        """Whether every interface with IPv6 has it (fe80::/64), or may have it (169.254.0.0/16)."""
        return ipaddress.ip_address(self.destination).is_link_local

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What makes two routes of ours the same: destination, gateway, interface, metric."""
        return f"{self.destination}/{self.prefix}", self.gateway, self.index, self.metric


# Links


def link(rtnl: Rtnl, name: str) -> Optional[Link]:
    """The interface called `name`, or None."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    try:
        answers = rtnl.request(f"look for {name}", RTM_GETLINK, 0, body)
    except OSError as exc:
        if exc.errno == errno.ENODEV:
            return None
        raise
    return _link(answers[0])


def links(rtnl: Rtnl) -> list[Link]:
    """All interfaces."""
    return [_link(raw) for raw in rtnl.dump("list links", RTM_GETLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0))]


def _link(raw: bytes) -> Link:
    _family, _type, index, flags, _change = _IFINFO.unpack_from(raw)
    found = attributes(raw[_IFINFO.size :])
    info = attributes(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=_string(found.get(IFLA_IFNAME, b"")),
        up=bool(flags & IFF_UP),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_integer(found.get(IFLA_MTU)),
        master=_integer(found.get(IFLA_MASTER)),
        alias=_string(found.get(IFLA_IFALIAS, b"")),
        kind=_string(info.get(IFLA_INFO_KIND, b"")),
        data=info.get(IFLA_INFO_DATA, b""),
        isolated=attributes(info.get(IFLA_INFO_SLAVE_DATA, b"")).get(IFLA_BRPORT_ISOLATED) == b"\1",
    )


def _string(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="replace")


def _integer(raw: Optional[bytes]) -> int:
    return 0 if raw is None else int.from_bytes(raw, sys.byteorder)


def create_veth(rtnl: Rtnl, host: str, inside: str, netns_fd: int, mac: bytes, mtu: int, master: int) -> None:
    """A pair of interfaces: `host` here, a port of `master`; `inside` born in the other namespace.

    Both are down: an end cannot be brought up before the kernel has tied it to the other (veth_open, ENOTCONN).
    """
    size = [number32(IFLA_MTU, mtu)] if mtu else []
    peer = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
        [text(IFLA_IFNAME, inside), attribute(IFLA_ADDRESS, mac), number32(IFLA_NET_NS_FD, netns_fd), *size]
    )
    info = nested(
        IFLA_LINKINFO,
        text(IFLA_INFO_KIND, "veth"),
        nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER | NESTED, peer)),
    )
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + b"".join(
        [text(IFLA_IFNAME, host), number32(IFLA_MASTER, master), *size, info]
    )
    rtnl.request(f"create the veth pair {host} and {inside}", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def create_vxlan(rtnl: Rtnl, name: str, mac: str, vni: int, port: int, local: str) -> None:
    """A tunnel's end at the address `local`, down, that learns nothing of where packets come from."""
    raw = _raw(local)
    data = nested(
        IFLA_INFO_DATA,
        number32(VXLAN_ID, vni),
        attribute(VXLAN_LOCAL if len(raw) == 4 else VXLAN_LOCAL6, raw),
        attribute(VXLAN_PORT, port.to_bytes(2, "big")),
        attribute(VXLAN_LEARNING, b"\0"),
    )
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    body += nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "vxlan"), data)
    rtnl.request(f"create the VXLAN device {name}", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body)


def set_link(rtnl: Rtnl, index: int, *, mtu: int = 0, alias: str = "", master: int = 0) -> None:
    """Bring an interface up, and set what is given."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, IFF_UP, IFF_UP)
    body += number32(IFLA_MTU, mtu) if mtu else b""
    body += number32(IFLA_MASTER, master) if master else b""
    body += text(IFLA_IFALIAS, alias) if alias else b""
    rtnl.request("set an interface up", RTM_NEWLINK, 0, body)


def set_bridge_port(rtnl: Rtnl, index: int, *, isolated: bool) -> None:
    """Let a bridge send a frame back through the port it came from, as a container's call to its own address needs; and
    keep it from sending frames of one isolated port to another."""
    modes = attribute(IFLA_BRPORT_MODE, b"\1"), attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))
    port = nested(IFLA_INFO_SLAVE_DATA, *modes)
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    body += nested(IFLA_LINKINFO, text(IFLA_INFO_SLAVE_KIND, "bridge"), port)
    rtnl.request("set up a port of a bridge", RTM_NEWLINK, 0, body)


def delete_link(rtnl: Rtnl, index: int) -> None:
    """Delete an interface, and with a veth its peer."""
    rtnl.request("delete an interface", RTM_DELLINK, 0, _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0))


# Addresses and routes


def add_address(rtnl: Rtnl, index: int, ip: str, prefix: int) -> None:
    """Give an interface an address; it may have it already. That nobody else has it is known, and not probed for."""
    raw, broadcast = _raw(ip), b""
    if len(raw) == 4:
        last = ipaddress.ip_interface(f"{ip}/{prefix}").network.broadcast_address
        broadcast = attribute(IFA_BROADCAST, last.packed)
    flags = IFA_F_NODAD if len(raw) == 16 else 0
    body = _IFADDR.pack(_family(raw), prefix, flags, RT_SCOPE_UNIVERSE, index)
    body += attribute(IFA_LOCAL, raw) + attribute(IFA_ADDRESS, raw) + broadcast
    rtnl.request(f"add the address {ip}/{prefix}", RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)


def delete_address(rtnl: Rtnl, address: Address) -> None:
    """Take an address from an interface."""
    raw = _raw(address.ip)
    body = _IFADDR.pack(_family(raw), address.prefix, 0, 0, address.index) + attribute(IFA_LOCAL, raw)
    rtnl.request(f"delete the address {address.ip}/{address.prefix}", RTM_DELADDR, 0, body)


def addresses(rtnl: Rtnl) -> list[Address]:
    """All addresses but those that every interface with IPv6 has by itself (fe80::/64)."""
    found = []
    for family in FAMILIES:
        for raw in rtnl.dump("list addresses", RTM_GETADDR, _IFADDR.pack(family, 0, 0, 0, 0)):
            answered, prefix, _flags, scope, index = _IFADDR.unpack_from(raw)
            values = attributes(raw[_IFADDR.size :])
            local = values.get(IFA_LOCAL, values.get(IFA_ADDRESS))
            # A kernel without IPv6 answers with the addresses of all families that it has.
            if local is not None and answered == family and (family, scope) != (socket.AF_INET6, RT_SCOPE_LINK):
                found.append(Address(index, socket.inet_ntop(family, local), prefix))
    return found


def add_route(rtnl: Rtnl, destination: str, index: int, gateway: str = "", metric: int = 0) -> None:
    """A route by a gateway, or to neighbours on the link; among several the lowest metric is used."""
    net = ipaddress.ip_network(destination)
    scope = RT_SCOPE_UNIVERSE if gateway else RT_SCOPE_LINK
    body = _RTMSG.pack(
        _family(net.network_address.packed), net.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0
    )
    body += attribute(RTA_DST, net.network_address.packed) if net.prefixlen else b""
    body += attribute(RTA_GATEWAY, _raw(gateway)) if gateway else b""
    body += number32(RTA_OIF, index) + number32(RTA_PRIORITY, metric)
    by = f" by {gateway}" if gateway else ""
    rtnl.request(f"add the route to {net}{by}", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)


def accept_loopback6(rtnl: Rtnl, index: int) -> None:
    """Let packets for ::1 be delivered that came in by the interface, as `route_localnet` does for 127.0.0.1.

    For ::1 the kernel takes only routes of the interface itself (rt6_need_strict in net/ipv6/route.c). What has that
    destination on the wire it throws away before (ip6_rcv_core), so that this is for translated answers alone. The
    route of `lo` comes first by its metric.
    """
    body = _RTMSG.pack(socket.AF_INET6, 128, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_LOCAL, 0)
    body += attribute(RTA_DST, _raw("::1")) + number32(RTA_OIF, index) + number32(RTA_PRIORITY, LOOPBACK_METRIC)
    with contextlib.suppress(FileExistsError):
        rtnl.request("add the route to ::1", RTM_NEWROUTE, NLM_F_CREATE, body)


def accepts_loopback6(rtnl: Rtnl, index: int) -> bool:
    """Whether it does. The kernel answers with `lo`, where such packets end, and the metric of the route it took."""
    body = _RTMSG.pack(socket.AF_INET6, 128, *[0] * 7)
    body += attribute(RTA_DST, _raw("::1")) + number32(RTA_OIF, index)
    try:
        answers = rtnl.request("look up the route to ::1", RTM_GETROUTE, 0, body)
    except OSError:  # ENETUNREACH
        return False
    return any(_route(raw).metric == LOOPBACK_METRIC for raw in answers)


def routes(rtnl: Rtnl) -> list[Route]:
    """All routes of all tables."""
    found = []
    for family in FAMILIES:
        answers = rtnl.dump("list routes", RTM_GETROUTE, _RTMSG.pack(family, *[0] * 8))
        found += [_route(raw) for raw in answers if raw[0] == family]
    return found


def _route(raw: bytes) -> Route:
    family, prefix, _source, _tos, _table, protocol, _scope, kind, _flags = _RTMSG.unpack_from(raw)
    found = attributes(raw[_RTMSG.size :])
    any_address = bytes(16 if family == socket.AF_INET6 else 4)
    return Route(
        destination=socket.inet_ntop(family, found.get(RTA_DST, any_address)),
        prefix=prefix,
        gateway=socket.inet_ntop(family, found[RTA_GATEWAY]) if RTA_GATEWAY in found else "",
        index=_integer(found.get(RTA_OIF)),
        metric=_integer(found.get(RTA_PRIORITY)),
        kind=kind,
        advertised=protocol == RTPROT_RA,
    )


def _raw(ip: str) -> bytes:
    """An address as bytes: 4, or 16 of IPv6."""
    return ipaddress.ip_address(ip).packed


def _family(raw: bytes) -> int:
    return socket.AF_INET6 if len(raw) == 16 else socket.AF_INET
