# SPDX-License-Identifier: GPL-3.0-or-later
"""Subnets: checking those that were given, and choosing one when none was.

The IPv4 pools are private addresses (RFC 1918) that other engines, cluster software and home routers seldom use: Docker
begins at 172.17, Podman at 10.88, Kubernetes at 10.96 and 10.244, and most routers live in 192.168.0 to 192.168.2.
The IPv6 pool is a unique local /48 (RFC 4193) made from the host's identity, so that two hosts rarely have the same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Optional, Union

from ..core.errors import BadInput, Conflict
from ..core.specs.network import Subnet
from .rtnl import Route

POOLS = ("10.213.0.0/16", "172.30.0.0/16", "192.168.192.0/18")
PREFIX, PREFIX6 = 24, 64
SHORTEST, LONGEST = {4: 8, 6: 16}, {4: 30, 6: 126}
EXAMPLE = {4: "10.20.30.0/24", 6: "fd12:3456:789a:1::/64"}
UNICAST6 = (ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("fc00::/7"))
# VPNs cover everything by 0.0.0.0/1 and 128.0.0.0/1, or by 2000::/3: those routes are default routes
_WHOLE_WORLD = {4: 1, 6: 3}
UNICAST = 1

Net = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


# What was given


def parse(subnet: str, iprange: str = "", gateway: str = "", aux: Optional[Mapping[str, str]] = None) -> Subnet:
    """One entry in canonical form; a gateway that is not given is left open."""
    subnet = parse_subnet(subnet)
    entry = Subnet(
        subnet,
        parse_range(iprange, subnet) if iprange else "",
        parse_gateway(gateway, subnet) if gateway else "",
        {name: str(_inside(f"aux_addresses: {name}", text, subnet)) for name, text in (aux or {}).items()},
    )
    taken = [address for address in (*entry.aux_addresses.values(), entry.gateway) if address]
    twice = next((address for address in taken if taken.count(address) > 1), None)
    if twice:
        raise BadInput(f"aux_addresses: {twice} is there twice, or is the gateway", hint="give each address once")
    return entry


def parse_subnet(text: str, option: str = "subnet") -> str:
    """The canonical form of a subnet that was given."""
    net = _cidr(text, option)
    version = net.version
    if not SHORTEST[version] <= net.prefixlen <= LONGEST[version]:
        size = "large" if net.prefixlen < SHORTEST[version] else "small"
        raise BadInput(f"{option}: {text} is too {size}", hint=f"use a /{SHORTEST[version]} to a /{LONGEST[version]}")
    if not _for_hosts(net):
        raise BadInput(f"{option}: {text} is not for hosts", hint=f"use private addresses such as {EXAMPLE[version]}")
    return str(net)


def _cidr(text: str, option: str) -> Net:
    try:
        net = ipaddress.ip_network(text.replace("%", " "), strict=False)  # nobody routes to a zone of RFC 4007
    except ValueError as exc:
        raise BadInput(f"{option}: {text!r} is not a subnet", hint=f"write it as {EXAMPLE[4]}") from exc
    if "/" not in text:
        raise BadInput(
            f"{option}: {text!r} has no prefix length",
            hint=f"write it as {text}/{PREFIX if net.version == 4 else PREFIX6}",
        )
    if net.network_address != ipaddress.ip_address(text.partition("/")[0]):
        raise BadInput(f"{option}: {text!r} has host bits set", hint=f"write {net}")
    return net


def _for_hosts(net: Net) -> bool:
    if isinstance(net, ipaddress.IPv6Network):
        return any(net.subnet_of(unicast) for unicast in UNICAST6)
    return not (net.is_multicast or net.is_loopback or net.is_link_local or net.is_unspecified or net.is_reserved)


def parse_range(text: str, subnet: str) -> str:
    """The part of the subnet from which addresses are given out."""
    part, net = _cidr(text, "iprange"), ipaddress.ip_network(subnet)
    if part.version != net.version or not part.subnet_of(net):  # type: ignore[arg-type]
        raise BadInput(f"iprange: {text} is outside of {subnet}", hint="give a part of the subnet")
    return str(part)


def parse_gateway(text: str, subnet: str) -> str:
    """The gateway that was given, or the subnet's first address."""
    return str(_inside("gateway", text, subnet) if text else ipaddress.ip_network(subnet)[1])


def _inside(what: str, text: str, subnet: str) -> Address:
    """An address that a host of the subnet can have."""
    net = ipaddress.ip_network(subnet)
    try:
        address = ipaddress.ip_address(text.replace("%", " "))
    except ValueError as exc:
        raise BadInput(f"{what}: {text!r} is not an address", hint=f"give an address of {subnet}") from exc
    if address not in net:
        raise BadInput(f"{what}: {text} is outside of {subnet}", hint="give an address of the subnet")
    if address in unusable(net):
        raise BadInput(f"{what}: {text} is the first or last address of {subnet}", hint="give one between them")
    return address


def unusable(net: Net) -> tuple[Address, ...]:
    """The network's own address (in IPv6 that of any of its routers, RFC 4291 2.6.1), and IPv4's broadcast address."""
    return (net[0], net[-1]) if net.version == 4 else (net[0],)


def check_apart(subnets: Iterable[str]) -> None:
    """`BadInput` when two subnets of one network overlap."""
    for one, other in itertools.combinations(map(ipaddress.ip_network, subnets), 2):
        if one.version == other.version and one.overlaps(other):
            raise BadInput(f"subnet: {one} overlaps {other} of the same network", hint="give subnets that are apart")


# What is taken


def taken_by_routes(routes: Iterable[Route], names: dict[int, str], own: Collection[str] = ()) -> dict[str, str]:
    """Subnets that the host routes already, with the words that name them; but those of the interfaces `own`."""
    found: dict[str, str] = {}
    for route in routes:
        everything = route.prefix <= _WHOLE_WORLD[route.version]
        if everything or route.link_local or route.kind != UNICAST or names.get(route.index) in own:
            continue
        device = names.get(route.index, "another table")
        found[f"{route.destination}/{route.prefix}"] = f"the route {route.destination}/{route.prefix} on {device}"
    return found


def check_overlap(subnet: str, taken: Mapping[str, str]) -> None:
    """`Conflict` names what the subnet overlaps."""
    culprit = overlapped(ipaddress.ip_network(subnet), taken)
    if culprit is not None:
        raise Conflict(f"the subnet {subnet} overlaps {culprit}", hint="choose another subnet, or leave it out")


def overlapped(net: Net, taken: Mapping[str, str]) -> Optional[str]:
    """The words for the first of `taken` that `net` overlaps."""
    others = ((ipaddress.ip_network(other), words) for other, words in taken.items())
    return next((words for other, words in others if net.version == other.version and net.overlaps(other)), None)


# What is free


def choose(taken: Iterable[str], pools: Sequence[str] = POOLS) -> str:
    """The first free subnet of the pools."""
    return _first_free(itertools.chain.from_iterable(_candidates(pool) for pool in pools), taken, ", ".join(pools))


def _candidates(pool: str) -> Iterator[Net]:
    net = ipaddress.IPv4Network(pool)
    yield from net.subnets(new_prefix=max(PREFIX, net.prefixlen))


def choose6(taken: Iterable[str], identity: str, name: str) -> str:
    """A free /64 of the host's /48: the one that the network's name leads to, so that it has the same when it is made
    again, or the next."""
    seed = hashlib.sha256(f"mini/{identity}".encode()).digest()[:5]
    base = int.from_bytes(b"\xfd" + seed, "big") << 80
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big")
    numbers = ((start + step) & 0xFFFF for step in range(1 << 16))
    candidates = (ipaddress.IPv6Network((base | number << PREFIX6, PREFIX6)) for number in numbers)
    return _first_free(candidates, taken, str(ipaddress.IPv6Network((base, 48))))


def _first_free(candidates: Iterable[Net], taken: Iterable[str], pools: str) -> str:
    busy = [ipaddress.ip_network(other) for other in taken]
    for candidate in candidates:
        if not any(candidate.version == other.version and candidate.overlaps(other) for other in busy):
            return str(candidate)
    raise Conflict(
        f"no free subnet is left in {pools}: the host's routes and networks cover them all",
        hint="give the network a subnet",
    )


def nameservers(resolv_conf: str) -> list[str]:
    """The name servers of a resolv.conf: a network must not hide one."""
    found = []
    for line in resolv_conf.splitlines():
        fields = line.split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(fields[1].partition("%")[0])))
            except ValueError:
                continue
    return found
