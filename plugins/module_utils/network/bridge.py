# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge of a network: a switch in the kernel whose own address is the containers' gateway.

Its name is derived from the network's, because the kernel takes no more than 15 bytes; its alias (`ip link` shows it)
says in full which network it is, and that it is ours. A bridge that somebody else made is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
from dataclasses import dataclass
from typing import Optional

from ..core.errors import Conflict
from ..linux.files import read_text, write_kernel
from . import rtnl
from .rtnl import Rtnl
from .veth import mac_of


@dataclass(frozen=True)
class Bridge:
    """A bridge as it should be."""

    name: str
    alias: str
    subnet: str
    gateway: str
    mtu: int = 0

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnet)

    @property
    def mac(self) -> str:
        return mac_of(self.gateway).hex(":")


@dataclass(frozen=True)
class BridgeState:
    """A bridge as it is."""

    index: int
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    sysctls: bool


def sysctls(name: str) -> dict[str, str]:
    """Settings of a bridge by path.

    `route_localnet` lets this host's 127.0.0.1 reach published ports. IPv6 is off while networks have none, so that
    no container can pose as a router.
    """
    return {
        f"/proc/sys/net/ipv4/conf/{name}/route_localnet": "1",
        f"/proc/sys/net/ipv6/conf/{name}/accept_ra": "0",
        f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6": "1",
    }


def observe(host: Rtnl, name: str) -> Optional[BridgeState]:
    """The interface called `name`, or None."""
    found = rtnl.link(host, name)
    if found is None:
        return None
    mine = tuple(f"{address.ip}/{address.prefix}" for address in rtnl.addresses(host) if address.index == found.index)
    settings = all(read_text(path, value) == value for path, value in sysctls(name).items())
    return BridgeState(found.index, found.kind, found.alias, found.mac, found.mtu, found.up, mine, settings)


def is_ours(state: BridgeState, wanted: Bridge) -> bool:
    """The alias says so; or there is none yet, and the MAC address, given at birth, is the one that only we give."""
    return state.kind == "bridge" and (state.alias == wanted.alias or (not state.alias and state.mac == wanted.mac))


def check_ours(state: BridgeState, wanted: Bridge) -> None:
    """`Conflict` when the interface belongs to somebody else."""
    if not is_ours(state, wanted):
        what = f"{state.kind or 'interface'} with the alias {state.alias!r}"
        raise Conflict(f"the interface name {wanted.name} is taken by a {what}", hint="remove or rename it")


def address_is_right(state: BridgeState, wanted: Bridge) -> bool:
    """Up, with the gateway's address and no other."""
    return state.up and state.addresses == (f"{wanted.gateway}/{wanted.network.prefixlen}",)


def create(wanted: Bridge) -> None:
    """Make the bridge, or finish one that was left half made."""
    from . import netlink

    with Rtnl() as host:
        state = observe(host, wanted.name)
    if state is None:
        netlink.create_bridge(wanted.name, wanted.mac, wanted.alias, wanted.mtu)
        return
    check_ours(state, wanted)
    netlink.configure_bridge(wanted.name, wanted.alias, wanted.mtu)


def set_address(wanted: Bridge) -> None:
    """The gateway's address, and up."""
    from . import netlink

    network = wanted.network
    netlink.set_address(wanted.name, wanted.gateway, network.prefixlen, str(network.broadcast_address))


def set_sysctls(name: str) -> None:
    """Write the settings; files of a protocol that the kernel does not have are left out."""
    for path, value in sysctls(name).items():
        if os.path.exists(path):
            write_kernel(path, value)


def delete(name: str) -> None:
    """Delete the bridge; ports lose their master. Nothing to do when it is gone."""
    with Rtnl() as host, contextlib.suppress(FileNotFoundError):
        found = rtnl.link(host, name)
        if found is None:
            return
        try:
            rtnl.delete_link(host, found.index)
        except OSError as exc:
            if exc.errno != errno.ENODEV:
                raise
