# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge of a network: a switch in the kernel whose own addresses are the containers' gateways.

Its name is derived from the network's, because the kernel takes no more than 15 bytes; its alias (`ip link` shows it)
says in full which network it is, and that it is ours. A bridge that somebody else made is never touched.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from ..core.errors import Conflict, StepFailed
from ..linux.files import read_text, write_kernel
from . import rtnl
from .rtnl import Rtnl


@dataclass(frozen=True)
class Bridge:
    """A bridge as it should be; `addresses` are the gateways, each with its prefix length: none of a family in which
    the containers are on their own."""

    name: str
    alias: str
    mac: str
    addresses: tuple[str, ...]
    mtu: int = 0

    @property
    def ipv6(self) -> bool:
        return any(":" in address for address in self.addresses)


@dataclass(frozen=True)
class BridgeState:
    """A bridge as it is. `loopback6`: one with IPv6 delivers answers to the host's ::1."""

    index: int
    kind: str
    alias: str
    mac: str
    mtu: int
    up: bool
    addresses: tuple[str, ...]
    sysctls: Mapping[str, str]
    loopback6: bool = True


def sysctls(name: str, *, ipv6: bool) -> dict[str, str]:
    """Settings of a bridge by path.

    `route_localnet` lets this host's 127.0.0.1 reach published ports. No container can pose as a router: IPv6 is off
    where the network has none, and else no router is believed.
    """
    return {
        f"/proc/sys/net/ipv4/conf/{name}/route_localnet": "1",
        f"/proc/sys/net/ipv6/conf/{name}/accept_ra": "0",
        f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6": "0" if ipv6 else "1",
    }


def observe(host: Rtnl, name: str) -> Optional[BridgeState]:
    """The interface called `name`, or None."""
    found = rtnl.link(host, name)
    if found is None:
        return None
    mine = tuple(f"{address.ip}/{address.prefix}" for address in rtnl.addresses(host) if address.index == found.index)
    settings = {path: read_text(path, "") for path in sysctls(name, ipv6=False)}
    loopback6 = rtnl.accepts_loopback6(host, found.index) if any(":" in text for text in mine) else True
    return BridgeState(found.index, found.kind, found.alias, found.mac, found.mtu, found.up, mine, settings, loopback6)


def is_ours(state: BridgeState, wanted: Bridge) -> bool:
    """The alias says so; or there is none yet, and the MAC address, given at birth, is the one that only we give."""
    return state.kind == "bridge" and (state.alias == wanted.alias or (not state.alias and state.mac == wanted.mac))


def check_ours(state: BridgeState, wanted: Bridge) -> None:
    """`Conflict` when the interface belongs to somebody else."""
    if not is_ours(state, wanted):
        what = f"{state.kind or 'interface'} with the alias {state.alias!r}"
        raise Conflict(f"the interface name {wanted.name} is taken by a {what}", hint="remove or rename it")


def sysctls_are_right(state: BridgeState, wanted: Bridge) -> bool:
    """Each has its value, but for those that the kernel does not have."""
    settings = sysctls(wanted.name, ipv6=wanted.ipv6)
    return all(state.sysctls[path] in ("", value) for path, value in settings.items())


def addresses_are_right(state: BridgeState, wanted: Bridge) -> bool:
    """Up, with the gateways' addresses and no other, and with a way to the host's loopback."""
    return state.up and state.loopback6 and sorted(state.addresses) == sorted(wanted.addresses)


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


def set_addresses(wanted: Bridge) -> None:
    """The gateways' addresses and no other, and up."""
    with Rtnl() as host:
        found = rtnl.link(host, wanted.name)
        if found is None:
            raise StepFailed(f"the bridge {wanted.name} vanished while it was set up", errno=errno.ENODEV)
        there = {f"{old.ip}/{old.prefix}": old for old in rtnl.addresses(host) if old.index == found.index}
        for text in there.keys() - set(wanted.addresses):
            rtnl.delete_address(host, there[text])
        for text in wanted.addresses:
            ip, _slash, prefix = text.partition("/")
            rtnl.add_address(host, found.index, ip, int(prefix))
        rtnl.set_link(host, found.index)
        if wanted.ipv6:
            rtnl.accept_loopback6(host, found.index)


def set_sysctls(wanted: Bridge) -> None:
    """Write the settings; files of a protocol that the kernel does not have are left out."""
    for path, value in sysctls(wanted.name, ipv6=wanted.ipv6).items():
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
