# SPDX-License-Identifier: GPL-3.0-or-later
"""Subnets: checking one that was given, and choosing one when none was.

The pools are private addresses (RFC 1918) that other engines, cluster software and home routers seldom use: Docker
begins at 172.17, Podman at 10.88, Kubernetes at 10.96 and 10.244, and most routers live in 192.168.0 to 192.168.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from ..core.errors import BadInput, Conflict
from .rtnl import Route

POOLS = ("10.213.0.0/16", "172.30.0.0/16", "192.168.192.0/18")
PREFIX = 24
_WHOLE_WORLD = 1  # VPNs cover everything by 0.0.0.0/1 and 128.0.0.0/1: those routes are default routes
_UNICAST = 1

Net = ipaddress.IPv4Network


def parse_subnet(text: str) -> str:
    """The canonical form of a subnet that was given."""
    try:
        net = Net(text, strict=False)
    except ValueError as exc:
        raise BadInput(f"subnet: {text!r} is not an IPv4 subnet", hint="write it as 10.20.30.0/24") from exc
    if "/" not in text:
        raise BadInput(f"subnet: {text!r} has no prefix length", hint=f"write it as {text}/24")
    if str(net.network_address) != text.partition("/")[0]:
        raise BadInput(f"subnet: {text!r} has host bits set", hint=f"write {net}")
    if not 8 <= net.prefixlen <= 30:
        raise BadInput(f"subnet: {text} is too {'large' if net.prefixlen < 8 else 'small'}", hint="use a /8 to a /30")
    if net.is_multicast or net.is_loopback or net.is_link_local or net.is_unspecified or net.is_reserved:
        raise BadInput(f"subnet: {text} is not for hosts", hint="use private addresses such as 10.20.30.0/24")
    return str(net)


def parse_gateway(text: str, subnet: str) -> str:
    """The gateway that was given, or the subnet's first address."""
    net = Net(subnet)
    if not text:
        return str(net[1])
    try:
        gateway = ipaddress.IPv4Address(text)
    except ValueError as exc:
        raise BadInput(f"gateway: {text!r} is not an IPv4 address", hint=f"give an address of {subnet}") from exc
    if gateway not in net:
        raise BadInput(f"gateway: {text} is outside of {subnet}", hint="give an address of the subnet")
    if gateway in (net.network_address, net.broadcast_address):
        raise BadInput(f"gateway: {text} is the first or last address of {subnet}", hint="give one between them")
    return str(gateway)


def taken_by_routes(routes: Iterable[Route], names: dict[int, str], own: str = "") -> dict[str, str]:
    """Subnets that the host routes already, with the words that name them; but those of the interface `own`."""
    found: dict[str, str] = {}
    for route in routes:
        if route.prefix <= _WHOLE_WORLD or route.kind != _UNICAST or names.get(route.index) == own != "":
            continue
        device = names.get(route.index, "another table")
        found[f"{route.destination}/{route.prefix}"] = f"the route {route.destination}/{route.prefix} on {device}"
    return found


def check_overlap(subnet: str, taken: dict[str, str]) -> None:
    """`Conflict` names what the subnet overlaps."""
    culprit = overlapped(Net(subnet), taken)
    if culprit is not None:
        raise Conflict(f"the subnet {subnet} overlaps {culprit}", hint="choose another subnet, or leave it out")


def overlapped(net: Net, taken: dict[str, str]) -> Optional[str]:
    """The words for the first of `taken` that `net` overlaps."""
    return next((words for other, words in taken.items() if net.overlaps(Net(other))), None)


def choose(taken: dict[str, str], pools: Sequence[str] = POOLS) -> str:
    """The first free subnet of the pools."""
    busy = [Net(other) for other in taken]
    for candidate in _candidates(pools):
        if not any(candidate.overlaps(other) for other in busy):
            return str(candidate)
    raise Conflict(
        f"no free subnet is left in {', '.join(pools)}: the host's routes and networks cover them all",
        hint="give the network a subnet",
    )


def _candidates(pools: Sequence[str]) -> Iterator[Net]:
    for pool in pools:
        net = Net(pool)
        yield from net.subnets(new_prefix=max(PREFIX, net.prefixlen))


def nameservers(resolv_conf: str) -> list[str]:
    """The IPv4 name servers of a resolv.conf: a network must not hide one."""
    found = []
    for line in resolv_conf.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            try:
                found.append(str(ipaddress.IPv4Address(fields[1])))
            except ValueError:
                continue
    return found
