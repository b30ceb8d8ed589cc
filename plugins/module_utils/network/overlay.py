# SPDX-License-Identifier: GPL-3.0-or-later
"""How the packets of a network over several hosts find the other hosts: by routes into a VXLAN device (RFC 7348).

::

    container ── bridge ── routes ── vxlan ══ underlay ══ the peer's vxlan ── routes ── bridge ── container

Each host has a slice of the network's subnet on its bridge. Of each peer it knows

    route        10.50.12.0/24 via 10.50.12.1 onlink    the peer's slice is behind the peer's gateway,
    neighbour    10.50.12.1 is 02:76:0a:32:0c:01        whose MAC address is made from its IP address,
    forwarding   02:76:0a:32:0c:01 is at 192.0.2.12     and which the peer's address in the underlay has;

and of the rest of the subnet that it is unreachable. So every question has its answer before it is asked: the device
learns nothing, asks nobody and floods nothing, and what a host knows grows with the hosts, not with their containers.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import sys
from dataclasses import dataclass
from typing import Optional, Union

from ..core.errors import Conflict, HostLacks, StepFailed
from ..linux.files import read_text, write_kernel
from . import entries, rtnl, veth
from .entries import Entry
from .rtnl import Link, Rtnl
from .slices import Peer
from .wire import attributes

SYSCTL = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"
"""IPv6 is off where the network has none. The device forwards, and so believes no router."""
OVERHEAD = {4: 50, 6: 70}
"""Bytes that the outer headers take, by the version of the underlay: IP, UDP, VXLAN and the inner Ethernet header."""


@dataclass(frozen=True)
class Overlay:
    """The device as it should be: `local` is this host's address in the underlay, `gateways` are its own."""

    name: str
    alias: str
    vni: int
    port: int
    local: str
    gateways: tuple[str, ...]
    subnets: tuple[str, ...]
    mtu: int
    peers: tuple[Peer, ...] = ()

    @property
    def mac(self) -> str:
        return mac_of(self.gateways[0])

    @property
    def ends(self) -> tuple[int, int, str]:
        return self.vni, self.port, self.local

    @property
    def entries(self) -> frozenset[Entry]:
        """All that the kernel must know: three a peer, two more where the network has both families, one a subnet."""
        found = {Entry("unreachable", subnet) for subnet in self.subnets}
        for peer in self.peers:
            mac = mac_of(peer.slices[0].gateway)
            found.add(Entry("forwarding", mac, peer.address))
            for part in peer.slices:
                found |= {Entry("route", part.subnet, part.gateway), Entry("neighbour", part.gateway, mac)}
        return frozenset(found)

    @property
    def ipv6(self) -> bool:
        return any(":" in gateway for gateway in self.gateways)


@dataclass(frozen=True)
class OverlayState:
    """The device as it is. `ends` are what nobody can change: the network's number, UDP port and own address."""

    index: int
    alias: str
    kind: str
    mac: str
    mtu: int
    up: bool
    ends: tuple[int, int, str]
    ipv6: bool
    entries: frozenset[Entry]


def mac_of(gateway: str) -> str:
    """The MAC address of the device on the host that has this gateway: every host can tell that of every other."""
    return (b"\x02\x76" + veth.mac_of(gateway)[2:]).hex(":")


def observe(host: Rtnl, name: str) -> Optional[OverlayState]:
    """The device and what it knows, or None."""
    found = rtnl.link(host, name)
    if found is None:
        return None
    return OverlayState(
        index=found.index,
        alias=found.alias,
        kind=found.kind,
        mac=found.mac,
        mtu=found.mtu,
        up=found.up,
        ends=_ends(found.data),
        ipv6=read_text(SYSCTL.format(name), "1") == "0",
        entries=frozenset(entries.read(host, found.index, _ends(found.data)[0])),
    )


def underlay(host: Rtnl, address: str) -> int:
    """The MTU of the interface that has the address, 0 when none has."""
    index = next((found.index for found in rtnl.addresses(host) if found.ip == address), 0)
    return next((link.mtu for link in rtnl.links(host) if link.index == index), 0)


def _ends(data: bytes) -> tuple[int, int, str]:
    found = attributes(data)
    number = int.from_bytes(found.get(rtnl.VXLAN_ID, b""), sys.byteorder)
    port = int.from_bytes(found.get(rtnl.VXLAN_PORT, b""), "big")
    local = found.get(rtnl.VXLAN_LOCAL) or found.get(rtnl.VXLAN_LOCAL6) or bytes(4)
    return number, port, str(ipaddress.ip_address(local))


def is_ours(found: Union[OverlayState, Link], alias: str) -> bool:
    """The alias says so; or there is none yet, and the MAC address, given at birth, is one that only we give."""
    return found.kind == "vxlan" and (found.alias == alias or (not found.alias and found.mac.startswith("02:76:")))


def check_ours(state: OverlayState, wanted: Overlay) -> None:
    """`Conflict` when the interface belongs to somebody else."""
    if not is_ours(state, wanted.alias):
        what = f"{state.kind or 'interface'} with the alias {state.alias!r}"
        raise Conflict(f"the interface name {wanted.name} is taken by a {what}", hint="remove or rename it")


def is_right(state: OverlayState, wanted: Overlay) -> bool:
    """The device itself, whatever it knows."""
    mine = (wanted.ends, wanted.mac, wanted.alias, wanted.mtu, wanted.ipv6)
    return (state.ends, state.mac, state.alias, state.mtu, state.ipv6) == mine and state.up


def create(wanted: Overlay) -> None:
    """Make the device, or put it right; one with other ends is replaced, since nothing can change those."""
    with Rtnl() as host:
        state = observe(host, wanted.name)
        if state is not None:
            check_ours(state, wanted)
            if (state.ends, state.mac) != (wanted.ends, wanted.mac):
                rtnl.delete_link(host, state.index)
                state = None
        if state is None:
            _create(host, wanted)
        found = rtnl.link(host, wanted.name)
        if found is None:
            raise StepFailed(f"the device {wanted.name} vanished while it was set up", errno=errno.ENODEV)
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            write_kernel(SYSCTL.format(wanted.name), "0" if wanted.ipv6 else "1")
        rtnl.set_link(host, found.index, mtu=wanted.mtu, alias=wanted.alias)


def _create(host: Rtnl, wanted: Overlay) -> None:
    try:
        rtnl.create_vxlan(host, wanted.name, wanted.mac, wanted.vni, wanted.port, wanted.local)
    except FileExistsError as exc:
        raise Conflict(
            f"the number {wanted.vni} of {wanted.alias} is that of another VXLAN network on UDP port {wanted.port}",
            hint="give one of them another number (vni)",
        ) from exc
    except OSError as exc:
        if exc.errno == errno.EOPNOTSUPP:
            raise HostLacks(
                f"cannot make {wanted.alias}: this kernel has no VXLAN devices", hint="load the module vxlan"
            ) from exc
        raise


def set_entries(wanted: Overlay) -> None:
    """The device knows what is wanted, and nothing else."""
    sources: dict[int, str] = {ipaddress.ip_address(gateway).version: gateway for gateway in wanted.gateways}
    with Rtnl() as host:
        state = observe(host, wanted.name)
        if state is None:
            raise StepFailed(f"the device {wanted.name} vanished while it was set up", errno=errno.ENODEV)
        for entry in state.entries - wanted.entries:
            entries.delete(host, entry, state.index, wanted.vni)
        # A route needs no neighbour in order to be made, but packets do in order to go its way.
        for entry in sorted(wanted.entries - state.entries):
            entries.add(host, entry, state.index, wanted.vni, sources)


def delete(name: str, alias: str) -> None:
    """No device of this network, and nothing that is unreachable for its sake. Nothing to do when it is gone."""
    with Rtnl() as host:
        found = rtnl.link(host, name)
        if found is None or not is_ours(found, alias):
            return
        number, _port, _local = _ends(found.data)
        for entry in entries.read(host, found.index, number):
            entries.delete(host, entry, found.index, number)
        rtnl.delete_link(host, found.index)
