# SPDX-License-Identifier: GPL-3.0-or-later
"""How the subnets of a network are divided among hosts, so that each can tell the slice of every other. Pure.

A host's slice has the number that the last bits of its address are: of 256 slices of 10.50.0.0/16, the host 192.0.2.12
has 10.50.12.0/24. So nobody hands slices out or keeps a list of them, and a host that is added moves no other's. Where
two hosts would have the same, one is given another number by hand.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.network import Subnet, Vxlan
from . import inet, pools

SLICES = 256
VNI_MAX = (1 << 24) - 1


class Peer(NamedTuple):
    """Another host: its address, and its slices, each with its gateway."""

    name: str
    address: str
    slices: tuple[Subnet, ...]


def check(vxlan: Vxlan) -> None:
    """`BadInput` for what cannot be: hosts of both families, two in one slice, subnets that cannot be divided so."""
    if vxlan.host not in vxlan.hosts:
        raise BadInput(f"host: {vxlan.host!r} is none of the hosts", hint="give the name that it has among them")
    if not 0 < vxlan.vni <= VNI_MAX:
        raise BadInput(f"vni: {vxlan.vni} is not possible", hint=f"give 1 to {VNI_MAX}")
    if not 0 < vxlan.port <= 65535:
        raise BadInput(f"port: {vxlan.port} is not possible", hint="give 1 to 65535")
    if len({ipaddress.ip_address(address).version for address in vxlan.hosts.values()}) > 1:
        raise BadInput("hosts: their addresses are of both families", hint="give all in IPv4, or all in IPv6")
    _check_size(vxlan)
    _check_apart(vxlan)


def _check_size(vxlan: Vxlan) -> None:
    if vxlan.slices < 1 or vxlan.slices & (vxlan.slices - 1):
        raise BadInput(f"slices: {vxlan.slices} is no power of two", hint=f"{SLICES} is the default")
    for subnet in vxlan.subnets:
        net = ipaddress.ip_network(subnet)
        longest = pools.LONGEST[net.version]
        if net.prefixlen + vxlan.slices.bit_length() - 1 > longest:
            raise BadInput(
                f"slices: {subnet} cannot be divided into {vxlan.slices} parts of a /{longest} or more",
                hint="give a larger subnet, or fewer slices",
            )


def _check_apart(vxlan: Vxlan) -> None:
    taken: dict[int, str] = {}
    for name in sorted(vxlan.hosts):
        number = number_of(vxlan, name)
        if not 0 <= number < vxlan.slices:
            raise BadInput(f"hosts: {name} has the slice {number}", hint=f"give 0 to {vxlan.slices - 1}")
        if number in taken:
            raise BadInput(
                f"hosts: {name} and {taken[number]} both have the slice {number} of {vxlan.slices}",
                hint="give one of them another, as {address: …, slice: …}, or divide into more slices",
            )
        taken[number] = name


def parse_hosts(hosts: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, int]]:
    """Addresses by name, and the numbers that were given by hand, of hosts that are an address or `{address, slice}`
    each."""
    addresses: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for name, value in hosts.items():
        given = value if isinstance(value, Mapping) else {"address": value}
        if set(given) - {"address", "slice"}:
            raise BadInput(f"hosts: {name} is {value!r}", hint="give an address, or {address: …, slice: …}")
        addresses[check_name("host", name)] = _address(name, given.get("address"))
        if given.get("slice") is not None:
            numbers[name] = _number(name, given["slice"])
    return addresses, numbers


def _address(name: str, value: Any) -> str:
    try:
        return inet.plain(str(value))
    except ValueError as exc:
        raise BadInput(f"hosts: {value!r} of {name} is no IP address", hint="names are not looked up") from exc


def _number(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as exc:
        raise BadInput(f"hosts: {name} has the slice {value!r}", hint="give a number") from exc


def number_of(vxlan: Vxlan, name: str) -> int:
    """The number of a host's slices."""
    given = vxlan.numbers.get(name)
    return int(ipaddress.ip_address(vxlan.hosts[name])) % vxlan.slices if given is None else given


def slices_of(vxlan: Vxlan, name: str) -> tuple[Subnet, ...]:
    """A host's slices, one of each subnet; the first address of a slice is the host's own, the gateway."""
    number = number_of(vxlan, name)
    return tuple(_part(subnet, vxlan.slices, number) for subnet in vxlan.subnets)


def _part(subnet: str, slices: int, number: int) -> Subnet:
    net = ipaddress.ip_network(subnet)
    prefix = net.prefixlen + slices.bit_length() - 1
    start = int(net.network_address) + (number << (net.max_prefixlen - prefix))
    kind = type(net.network_address)
    return Subnet(f"{kind(start)}/{prefix}", gateway=str(kind(start + 1)))


def peers(vxlan: Vxlan) -> Iterator[Peer]:
    """All other hosts."""
    for name, address in vxlan.hosts.items():
        if name != vxlan.host:
            yield Peer(name, address, slices_of(vxlan, name))


def vni_of(name: str) -> int:
    """The number of a network that was given none: made from its name, which is the same on all hosts."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:3], "big") % VNI_MAX + 1
