# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on networks from a neighbour's namespace and from a container's, each seen to succeed without its defence.

More of them are where what they attack is tested: loopback over the wire and the administrator's own rules in
`test_network_traffic.py`, names that are paths in `tests/unit`.
"""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Vxlan
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.overlay import device_name
from ansible_collections.mini.containers.plugins.module_utils.network import netns

from ..waiting import eventually, stays
from .conftest import HOST_LAN, HOST_LAN6, NEIGHBOUR_LAN, sh

both_kinds = pytest.mark.parametrize("backend", ["nftables", "iptables-nft"], indirect=True)
with_nftables = pytest.mark.parametrize("backend", ["nftables"], indirect=True)


def direct_ways(lab, box) -> list[bool]:
    """Whether a neighbour who has a route reaches the container by its own addresses, past what is published."""
    ways = [(box.ip, 80), (box.ip, 81), (box.ipv6, 80), (box.ipv6, 81)]
    return [lab.arrives(lab.neighbour, ip, port, box.netns, port) for ip, port in ways]


@both_kinds
def test_direct_routing_to_a_container(lab):
    """The host forwards everything: only our rules are in the way. A published port is open by its way alone."""
    lab.network("web", enable_ipv6=True)
    box = lab.container("web")
    lab.publish(box, "8080:80/udp")
    sh(f"nsenter --net={lab.neighbour} ip -6 route replace {box.ipv6} via {HOST_LAN6}")
    assert direct_ways(lab, box) == [False] * 4
    bridge = attach.load(lab.paths, "web").bridge
    sh(
        f"nft flush chain inet mini into-{bridge}"
        if lab.firewall == "nftables"
        else f"for t in iptables ip6tables; do $t -I MINI-IN -o {bridge} -j ACCEPT; done"
    )
    eventually(lambda: direct_ways(lab, box) == [True] * 4)
    if lab.firewall == "iptables":
        sh(f"for t in iptables ip6tables; do $t -D MINI-IN -o {bridge} -j ACCEPT; done")


@both_kinds
def test_everything_is_closed_again_in_one_pass(lab):
    """After a reload of somebody's rules, isolation comes back with the published ports, not after them."""
    lab.network("web", enable_ipv6=True)
    lab.network("other")
    box, stranger = lab.container("web"), lab.container("other")
    lab.serve(box.netns, 80)
    lab.publish(box, "8080:80", "127.0.0.1:8081:80")
    sh(f"nsenter --net={lab.neighbour} ip -6 route replace {box.ipv6} via {HOST_LAN6}")
    sh("nft flush ruleset")
    eventually(lambda: direct_ways(lab, box) == [True] * 4)  # as it is without any rule
    lab.network("other")
    assert lab.ask(lab.neighbour, HOST_LAN, 8080) == NEIGHBOUR_LAN
    assert direct_ways(lab, box) == [False] * 4
    assert lab.refuses(stranger.netns, box.ip, 80)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8081)


def goes_over(lab, source: str, ip: str) -> bool:
    """Whether a packet for an address of another host's slice is sent on to that host, which the neighbour is."""
    with netns.entered(lab.neighbour):
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with netns.entered(source):
        sender = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    with wire, sender:
        wire.bind((NEIGHBOUR_LAN, 4789))
        wire.settimeout(0.3)
        sender.sendto(b"attack", (ip, 53))
        with contextlib.suppress(TimeoutError, socket.timeout):
            return wire.recv(1500).endswith(b"attack")
    return False


@both_kinds
def test_a_way_over_a_host_into_a_network_on_another_one(lab):
    """Who may not talk to the other host itself has this one do it: a neighbour, a container of another network. What
    arrives there has come from a host of the network, and is judged by its source alone, which a sender can choose."""
    hosts = {"h1": HOST_LAN, "h2": NEIGHBOUR_LAN}
    vxlan = Vxlan("h1", hosts, ("10.50.0.0/16", "fd00:50::/64"), 256, 77)
    lab.network("mesh", "10.50.1.0/24", "fd00:50::100:0:0:0/72", driver="vxlan", vxlan=vxlan)
    lab.network("other", enable_ipv6=True)
    own, stranger = lab.container("mesh").netns, lab.container("other").netns
    far = ("10.50.2.9", "fd00:50::200:0:0:9")
    assert all(goes_over(lab, own, ip) for ip in far)
    assert not any(goes_over(lab, where, ip) for where in (stranger, lab.neighbour) for ip in far)
    bridge = attach.load(lab.paths, "mesh").bridge
    sh(
        f"nft flush chain inet mini beyond-{bridge}"
        if lab.firewall == "nftables"
        else f"for t in iptables ip6tables; do $t -I MINI-IN -o {device_name(bridge)} -j ACCEPT; done"
    )
    eventually(lambda: all(goes_over(lab, where, ip) for where in (stranger, lab.neighbour) for ip in far))
    if lab.firewall == "iptables":
        sh(f"for t in iptables ip6tables; do $t -D MINI-IN -o {device_name(bridge)} -j ACCEPT; done")


def advertise(where: str) -> None:
    """A router advertisement (RFC 4861, 4.2) from a container: use me as your default router."""
    with netns.entered(where):
        wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with wire:
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        with netns.entered(where):
            index = socket.if_nametoindex("eth0")
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        wire.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, index))


@with_nftables
def test_a_container_poses_as_a_router(lab):
    """CVE-2020-13401: neither the host nor a sibling believes it."""
    lab.network("web", enable_ipv6=True)
    rogue, sibling = lab.container("web"), lab.container("web")
    bridge = attach.load(lab.paths, "web").bridge

    def believed(where: str = "") -> bool:
        advertise(rogue.netns)
        inside = f"nsenter --net={where} " if where else ""
        return "proto ra" in sh(f"{inside}ip -6 route show default")

    eventually(lambda: "tentative" not in sh(f"nsenter --net={rogue.netns} ip -6 address"))
    stays(lambda: not believed() and not believed(sibling.netns))
    sh(f"echo 2 > /proc/sys/net/ipv6/conf/{bridge}/accept_ra")
    eventually(believed)
    sh(f"nsenter --net={sibling.netns} sh -c 'echo 2 > /proc/sys/net/ipv6/conf/eth0/accept_ra'")
    eventually(lambda: believed(sibling.netns))
    lab.network("web", enable_ipv6=True)
    sh("ip -6 route flush proto ra")


@both_kinds
def test_a_name_server_outside_of_an_internal_network(lab):
    """CVE-2024-29018: there is no forwarder that would ask for a container, and no way around by a route of its own."""
    lab.network("web", enable_ipv6=True, internal=True)
    box = lab.container("web")
    sh(f"nsenter --net={box.netns} ip route add default via 10.213.0.1")
    question = (box.netns, NEIGHBOUR_LAN, 53, lab.neighbour, 53)
    assert not lab.arrives(*question)
    bridge = attach.load(lab.paths, "web").bridge
    sh(
        f'nft delete element inet mini out {{ \\"{bridge}\\" }}'
        if lab.firewall == "nftables"
        else f"iptables -I MINI-OUT -i {bridge} -j ACCEPT"
    )
    eventually(lambda: lab.arrives(*question))
    if lab.firewall == "iptables":
        sh(f"iptables -D MINI-OUT -i {bridge} -j ACCEPT")
