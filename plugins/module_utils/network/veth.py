# SPDX-License-Identifier: GPL-3.0-or-later
"""The cable between a container and a bridge: a veth pair, one end in the container's namespace (veth(4)).

The end on the host has a derived name, so that it is found without a record. The end inside is `eth0`, `eth1`, … in
the order of the container's networks; its MAC address is made from its IP address, so that neighbours' ARP caches stay
right when a container is replaced by another with the same address.
"""

from __future__ import annotations

import binascii
import contextlib
import errno
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ..core.errors import Conflict, StepFailed
from ..core.names import interface_name
from ..linux.files import write_kernel
from . import rtnl
from .netns import entered
from .rtnl import Rtnl

BRIDGE_PORTS = 1023  # BR_MAX_PORTS, net/bridge/br_private.h, where port 0 is none
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
MADE = b"\x02\x6d"  # the first two bytes of the MAC addresses that are made here
FIRST_METRIC = {4: 0, 6: 1}  # 0 is no metric in IPv6: the kernel takes 1024 for it


@dataclass(frozen=True)
class Cable:
    """What attaching needs to know: names of both ends, the addresses with their prefix lengths, where the default
    routes lead, and other subnets of the network, whose addresses are neighbours too; `beyond` are subnets of it that
    are behind a gateway. `sysctls` are settings of the end inside, by their path below /proc/sys/net, in which IFNAME
    stands for its name. `isolated` keeps what comes by it from those who are isolated as well."""

    host: str
    inside: str
    bridge: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    metric: int = 0
    mtu: int = 0
    mac: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    beyond: tuple[tuple[str, str], ...] = ()
    isolated: bool = False

    @property
    def hardware(self) -> bytes:
        """The MAC address inside: the one given, else made from the first IP address."""
        first = self.addresses[0].partition("/")[0]
        return bytes.fromhex(self.mac.replace(":", "")) if self.mac else mac_of(first)

    @property
    def label(self) -> str:
        """The alias of the end on the host: `ip link` shows it, and by it a cable laid for other addresses is known."""
        return ", ".join(self.addresses)

    @property
    def settings(self) -> dict[str, str]:
        """IPv6 has been off by default since the namespace was made (`netns.py`)."""
        on = {f"ipv6/conf/{self.inside}/disable_ipv6": "0"} if any(":" in text for text in self.addresses) else {}
        own = {path.replace("IFNAME", self.inside): value for path, value in self.sysctls.items()}
        return {f"/proc/sys/net/{path}": value for path, value in {**on, **own}.items()}

    def routes(self) -> list[tuple[str, str, int]]:
        """Destination, gateway and metric of each route, beside those that come with the addresses."""
        ways = [(6 if ":" in gateway else 4, gateway) for gateway in self.gateways]
        return [
            *((subnet, "", self.metric + FIRST_METRIC[6 if ":" in subnet else 4]) for subnet in self.neighbours),
            *(
                (subnet, gateway, self.metric + FIRST_METRIC[6 if ":" in subnet else 4])
                for subnet, gateway in self.beyond
            ),
            *((DEFAULT[version], gateway, self.metric + FIRST_METRIC[version]) for version, gateway in ways),
        ]


def host_name(container_id: str, network: str) -> str:
    """The name of the end on the host."""
    return interface_name("veth", f"{container_id}/{network}")


def mac_of(ip: str) -> bytes:
    """A locally administered MAC address (bit 1 of the first byte) that holds the IPv4 address, or a CRC of the IPv6
    one: two addresses that differ in their last 32 bits alone never have the same."""
    raw = ipaddress.ip_address(ip).packed
    return MADE + (raw if len(raw) == 4 else binascii.crc32(raw).to_bytes(4, "big"))


def is_made(mac: str) -> bool:
    """Whether a MAC address may be one that `mac_of` gives."""
    return mac.startswith(MADE.hex(":") + ":")


def attach(cable: Cable, netns: str) -> None:
    """Make the cable as described. One that is there is completed, one that is broken is replaced."""
    with Rtnl() as host, Rtnl(netns) as inside:
        bridge = rtnl.link(host, cable.bridge)
        if bridge is None:
            raise StepFailed(f"cannot attach {cable.inside}: the bridge {cable.bridge} is gone", errno=errno.ENODEV)
        near, far = rtnl.link(host, cable.host), rtnl.link(inside, cable.inside)
        if near is None or far is None or _is_another(cable, near, far):
            for socket, left in ((host, near), (inside, far)):
                _delete(socket, left)
            _lay(host, cable, netns, bridge.index)
            near, far = rtnl.link(host, cable.host), rtnl.link(inside, cable.inside)
        if near is None or far is None:
            raise StepFailed(
                f"cannot attach {cable.inside}: {cable.host} vanished while it was set up", errno=errno.ENODEV
            )
        _quiet_ipv6(cable.host)
        rtnl.set_link(host, near.index, mtu=cable.mtu, master=bridge.index, alias=cable.label)
        rtnl.set_bridge_port(host, near.index, isolated=cable.isolated)
        _set_inside(cable, netns)
        _configure(inside, cable, far.index)


def _is_another(cable: Cable, near: rtnl.Link, far: rtnl.Link) -> bool:
    """Whether what is there was laid with another hardware address, or for other IP addresses."""
    return cable.mac not in ("", far.mac) or near.alias not in ("", cable.label)


def _lay(host: Rtnl, cable: Cable, netns: str, bridge: int) -> None:
    """A new cable."""
    fd = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        rtnl.create_veth(host, cable.host, cable.inside, fd, cable.hardware, cable.mtu, bridge)
    except OSError as exc:
        if exc.errno == errno.EXFULL:
            raise Conflict(
                f"the bridge {cable.bridge} has no port left: the kernel gives it {BRIDGE_PORTS}",
                hint="use another network for more containers",
            ) from exc
        raise
    finally:
        os.close(fd)


def _quiet_ipv6(name: str) -> None:
    """No IPv6 of its own on a bridge's port; the file is missing where the kernel has no IPv6."""
    with contextlib.suppress(FileNotFoundError):
        write_kernel(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")


def _set_inside(cable: Cable, netns: str) -> None:
    """The settings of the end inside."""
    if cable.settings:
        with entered(netns):
            for path, value in cable.settings.items():
                write_kernel(path, value)


def _configure(inside: Rtnl, cable: Cable, index: int) -> None:
    rtnl.set_link(inside, index, mtu=cable.mtu)
    for text in cable.addresses:
        ip, _slash, prefix = text.partition("/")
        rtnl.add_address(inside, index, ip, int(prefix))
    for destination, gateway, metric in cable.routes():
        rtnl.add_route(inside, destination, index, gateway, metric)


def raise_loopback(netns: str) -> None:
    """Bring up the loopback interface, which is born down: programs count on 127.0.0.1 even without a network."""
    with Rtnl(netns) as inside:
        rtnl.set_link(inside, rtnl.LOOPBACK_IFINDEX)


def detach(host_end: str) -> None:
    """Remove the cable, both ends; nothing to do when it is gone."""
    with Rtnl() as host:
        _delete(host, rtnl.link(host, host_end))


def _delete(socket: Rtnl, found: Optional[rtnl.Link]) -> None:
    if found is None:
        return
    try:
        rtnl.delete_link(socket, found.index)
    except OSError as exc:
        if exc.errno != errno.ENODEV:  # its namespace was going away, and took it along
            raise


def attached(cable: Cable, netns: str) -> bool:
    """Whether the cable is complete, seen from both ends."""
    try:
        with Rtnl() as host, Rtnl(netns) as inside:
            bridge, near = rtnl.link(host, cable.bridge), rtnl.link(host, cable.host)
            if bridge is None or near is None or not near.up or near.master != bridge.index:
                return False
            if near.isolated != cable.isolated:
                return False
            far = rtnl.link(inside, cable.inside)
            return far is not None and not _is_another(cable, near, far) and _complete_inside(inside, cable, far)
    except FileNotFoundError:
        return False


def _complete_inside(inside: Rtnl, cable: Cable, far: rtnl.Link) -> bool:
    if not far.up or (cable.mtu and far.mtu != cable.mtu):
        return False
    there = {f"{address.ip}/{address.prefix}" for address in rtnl.addresses(inside) if address.index == far.index}
    if not there >= set(cable.addresses):
        return False
    known = {route.key for route in rtnl.routes(inside)} if cable.routes() else set()
    return all((destination, gateway, far.index, metric) in known for destination, gateway, metric in cable.routes())
