# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packet filter has to do, as values, and the rules that a driver makes of it. Nothing here runs a command.

Everything that enters a network is judged before anything may leave one. So networks cannot reach each other, a
neighbour who routes to a container's own address is dropped, and a published port is reachable from everywhere: its
packets are the only ones whose destination was translated. No policy is changed, and the packets that concern none of
our bridges pass untouched.

A container's answer to 127.0.0.1 on the host needs `route_localnet` on its bridge, and its packets must not use it in
the other direction: hence a drop before routing. Packets from outside that claim 127.0.0.1 as their destination must
not be translated, or a neighbour could use a port published for this host alone. The kernel sees to both for ::1,
which is never taken from a wire.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Optional, Union

from ...core.specs.network import PublishedPort

LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
TAG = "mini"
HOST = "host"
ELEMENT = "element"  # the table of a rule that is an element of a set
ATTEMPTS = 3  # to change what another program may be changing as well
_TAG = re.compile(r"([^\s:]+):([^\s:]+):[0-9a-f]{12}\Z")
Place = tuple[int, str, str]


@dataclass(frozen=True)
class Rule:
    """One rule of a driver. `owner` is the bridge of a network, the id of a container, or `host` for what all need.

    `family` is 4 or 6, or 0 where one rule is for both; `table` and `chain` are the driver's words for its place.
    """

    table: str
    chain: str
    args: tuple[str, ...]
    owner: str
    family: int = 4
    mark: str = TAG

    @property
    def place(self) -> Place:
        """Where the order of an owner's rules matters."""
        return self.family, self.table, self.chain

    @cached_property
    def tag(self) -> str:
        """The comment that marks the rule as ours: found again by it, and a changed rule has another."""
        text = "\0".join((self.table, self.chain, *self.args))
        return f"{self.mark}:{self.owner}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Tunnel:
    """The way between the hosts of a network: packets of VXLAN with the number `vni`, to the UDP port `port` of the
    host's address `local`. They are taken from the `peers` alone: who else reaches the port cannot speak as one of the
    network's containers."""

    vni: int
    port: int
    local: str
    peers: tuple[str, ...] = ()

    @property
    def family(self) -> int:
        return family_of(self.local)


@dataclass(frozen=True)
class Lan:
    """A network. `isolate`: only what belongs to a published port comes in from other networks. `icc`: its containers
    reach each other. `masquerade`: what leaves it has the host's address. Behind the device `overlay` is the rest of
    it, on other hosts, by the way `tunnel`. In the families that are `unprotected`, who routes to a container's own
    address from outside reaches all of its ports; other networks do not. In those that are `routed` nothing is
    translated: containers keep their addresses outside, where who has a route reaches what they publish, and pings.
    """

    bridge: str
    subnets: tuple[str, ...]
    internal: bool = False
    isolate: bool = True
    icc: bool = True
    masquerade: bool = True
    overlay: str = ""
    unprotected: tuple[int, ...] = ()
    routed: tuple[int, ...] = ()
    tunnel: Optional[Tunnel] = None

    @property
    def families(self) -> set[int]:
        """Those that it has rules for."""
        return {*map(family_of, self.subnets), *([self.tunnel.family] if self.tunnel else [])}


@dataclass(frozen=True, order=True)
class Translation:
    """`count` ports of the host from `port` on lead to as many of the container's `ip` from `to` on; with `port` 0 none
    of the host's do, and those of the container are open at its own address.

    `host_ip` empty is every address of the host, of the family that `ip` has. `sources` empty is everyone.
    """

    protocol: str
    host_ip: str
    ip: str
    port: int
    to: int
    count: int = 1
    sources: tuple[str, ...] = ()

    @property
    def family(self) -> int:
        return family_of(self.ip)

    @property
    def last(self) -> int:
        return self.port + self.count - 1

    @property
    def opened(self) -> bool:
        return not self.port

    def show(self) -> str:
        """`8080/tcp`, `8000-8002/udp`."""
        first = self.to if self.opened else self.port
        return f"{first}-{first + self.count - 1}/{self.protocol}" if self.count > 1 else f"{first}/{self.protocol}"


Policy = Union[None, Lan, tuple[Translation, ...]]
"""What somebody is to have: a network, a container, or nothing any more."""


def owner_of(comment: str, mark: str = TAG) -> str:
    """Whose rule it is, by its comment; empty when it does not have our mark."""
    match = _TAG.match(comment)
    return match[2] if match and match[1] == mark else ""


def family_of(address: str) -> int:
    """4 or 6, of an address or a network."""
    return 6 if ":" in address else 4


def translations(ports: Iterable[tuple[PublishedPort, str]]) -> tuple[Translation, ...]:
    """Published ports, each with the container's address, sorted; neighbours that lead to neighbours are made one.

    What is published on the host's loopback alone is not opened for others, where there is no port of the host.
    """
    found: list[Translation] = []
    single = {
        Translation(port.protocol, _to_host(port), ip, port.host_port, port.container_port, 1, _sources(port, ip))
        for port, ip in ports
        if port.host_port or not _is_loopback(port.host_ip)
    }
    for each in sorted(single):
        last = found[-1] if found else None
        if last is not None and _joined(last, each):
            found[-1] = Translation(*_target(last), last.port, last.to, last.count + 1, last.sources)
        else:
            found.append(each)
    return tuple(found)


def _to_host(port: PublishedPort) -> str:
    """The families are told apart by the container's addresses."""
    return "" if port.host_ip in ("0.0.0.0", "::") or not port.host_port else port.host_ip


def _is_loopback(host_ip: str) -> bool:
    return bool(host_ip) and ipaddress.ip_address(host_ip).is_loopback


def _sources(port: PublishedPort, ip: str) -> tuple[str, ...]:
    """Who may use the port: the networks of the family that are listed, and this host through its loopback."""
    family = family_of(ip)
    if not port.allow_from:
        return ()
    listed = [source for source in port.allow_from if family_of(source) == family]
    networks = [ipaddress.ip_network(source) for source in (*listed, LOOPBACK[family])]
    return tuple(str(network) for network in ipaddress.collapse_addresses(networks))  # type: ignore[type-var]


def _joined(last: Translation, following: Translation) -> bool:
    return (
        (_target(last), last.sources) == (_target(following), following.sources)
        and (following.port == last.port + last.count or (last.opened and following.opened))
        and following.to == last.to + last.count
    )


def _target(one: Translation) -> tuple[str, str, str]:
    return one.protocol, one.host_ip, one.ip


def udp_ports(changed: Iterable[Sequence[Translation]]) -> set[int]:
    """The UDP ports of the host in these translations."""
    every = (one for group in changed for one in group if one.protocol == "udp" and not one.opened)
    return {port for one in every for port in range(one.port, one.last + 1)}
