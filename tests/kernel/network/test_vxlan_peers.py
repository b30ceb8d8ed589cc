# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of VXLAN are taken from a network's other hosts alone, whoever else reaches the UDP port."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Vxlan
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.overlay import device_name
from ansible_collections.mini.containers.plugins.module_utils.network import netns, overlay

from ..waiting import eventually
from .conftest import HOST_LAN, HOST_LAN6, NEIGHBOUR_LAN, NEIGHBOUR_LAN6, sh

UNDERLAY = {4: (HOST_LAN, NEIGHBOUR_LAN, "192.0.2.3"), 6: (HOST_LAN6, NEIGHBOUR_LAN6, "2001:db8:1::3")}
VNI, PORT, SERVICE = 77, 4789, 9999
OPTIONS6 = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # a header of destination options that says nothing (RFC 8200, 4.6)


class Mesh:
    """The network of this host and the neighbour, which has a second address for a stranger."""

    def __init__(self, lab, version: int) -> None:
        self.lab = lab
        self.local, self.peer, self.stranger = UNDERLAY[version]
        where = "nodad dev eth0" if version == 6 else "dev eth0"
        sh(f"nsenter --net={lab.neighbour} ip address add {self.stranger}/{64 if version == 6 else 24} {where}")
        self.converge({"h1": self.local, "h2": self.peer})
        self.box = lab.container("mesh")

    def converge(self, hosts):
        numbers = {"h1": 1, "h2": 2, "h3": 3}
        vxlan = Vxlan("h1", hosts, ("10.50.0.0/16",), 256, VNI, numbers={name: numbers[name] for name in hosts})
        return self.lab.network("mesh", "10.50.1.0/24", driver="vxlan", vxlan=vxlan)

    def takes(self, sender: str, vni: int = VNI, options: bytes = b"") -> bool:
        """Whether the container receives what one who has this address puts into a packet of the network."""
        family = socket.AF_INET6 if ":" in sender else socket.AF_INET
        with netns.entered(self.lab.neighbour):
            wire = socket.socket(family, socket.SOCK_DGRAM)
        with netns.entered(self.box.netns):
            catcher = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with wire, catcher:
            catcher.bind(("", SERVICE))
            catcher.settimeout(0.2)
            wire.bind((sender, 0))
            if options:
                wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options)
            wire.sendto(self.packet(vni), (self.local, PORT))
            with contextlib.suppress(TimeoutError, socket.timeout):
                return catcher.recv(100) == b"attack"
        return False

    def packet(self, vni: int) -> bytes:
        """The headers of VXLAN (RFC 7348, section 5), Ethernet, IP and UDP, from a container of the other host."""
        text = b"attack"
        udp = struct.pack("!HHHH", SERVICE, SERVICE, 8 + len(text), 0) + text
        ends = [ipaddress.ip_address(address).packed for address in ("10.50.2.9", self.box.ip)]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, *ends)
        total = sum(struct.unpack("!10H", ip))
        total = (total & 0xFFFF) + (total >> 16)
        ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + ip[12:]
        macs = [bytes.fromhex(overlay.mac_of(gateway).replace(":", "")) for gateway in ("10.50.1.1", "10.50.2.1")]
        return struct.pack("!II", 0x08000000, vni << 8) + b"".join(macs) + b"\x08\x00" + ip + udp


@pytest.fixture(params=[4, 6])
def mesh(lab, request):
    return Mesh(lab, request.param)


both_kinds = pytest.mark.parametrize("backend", ["nftables", "iptables-nft"], indirect=True)
one_underlay = pytest.mark.parametrize("mesh", [4], indirect=True)


def disarm(mesh) -> None:
    """Take the rule away, as somebody who does not know what it is for."""
    chain = f"from-{attach.load(mesh.lab.paths, 'mesh').bridge}"
    sh(f"nft flush chain inet mini {chain}" if mesh.lab.firewall == "nftables" else "iptables -F MINI-PEERS")
    if mesh.lab.firewall == "iptables":
        sh("ip6tables -F MINI-PEERS 2>/dev/null; ip6tables -S INPUT | sed -n 's/^-A/ip6tables -D/p' | sh -e")


def test_from_its_hosts_alone(mesh):
    """And it is seen that it was the rule which kept the stranger out, and put right that it is gone."""
    eventually(lambda: mesh.takes(mesh.peer))
    assert not mesh.takes(mesh.stranger)
    if ":" in mesh.stranger:
        assert not mesh.takes(mesh.stranger, options=OPTIONS6)
    disarm(mesh)
    eventually(lambda: mesh.takes(mesh.stranger))
    if ":" in mesh.stranger:
        assert mesh.takes(mesh.stranger, options=OPTIONS6)
    hosts = {"h1": mesh.local, "h2": mesh.peer}
    assert {step.name for step in mesh.converge(hosts).plan} <= {"install-rules", "restore-rules"}
    assert not mesh.takes(mesh.stranger)
    assert mesh.takes(mesh.peer)
    assert not mesh.converge(hosts).plan


@both_kinds
@one_underlay
def test_a_host_that_comes_and_one_that_goes(mesh):
    more = {"h1": mesh.local, "h2": mesh.peer, "h3": mesh.stranger}
    assert "install-rules" in [step.name for step in mesh.converge(more).plan]
    eventually(lambda: mesh.takes(mesh.stranger))
    mesh.converge({"h1": mesh.local, "h3": mesh.stranger})
    eventually(lambda: mesh.takes(mesh.stranger))
    assert not mesh.takes(mesh.peer)
    mesh.converge({"h1": mesh.local})
    assert not any(map(mesh.takes, (mesh.peer, mesh.stranger)))


@both_kinds
@one_underlay
def test_networks_of_others_on_the_same_port(mesh):
    """Somebody else's device with another number hears whom it likes."""
    sh(f"ip link add foreign type vxlan id 78 dstport {PORT} local {mesh.local} && ip link set foreign up")

    def heard() -> int:
        return int(sh("cat /sys/class/net/foreign/statistics/rx_packets"))

    before = heard()
    mesh.takes(mesh.stranger, vni=78)
    eventually(lambda: heard() > before)
    sh("ip link del foreign")


@both_kinds
@one_underlay
def test_two_networks_have_peers_of_their_own(mesh):
    """Who is a host of one is a stranger to the other."""
    other = Vxlan("h1", {"h1": mesh.local, "h3": mesh.stranger}, ("10.51.0.0/16",), 256, 79, numbers={"h1": 1, "h3": 3})
    mesh.lab.network("other", "10.51.1.0/24", driver="vxlan", vxlan=other)
    eventually(lambda: mesh.takes(mesh.peer))
    assert not mesh.takes(mesh.stranger)
    assert device_name(attach.load(mesh.lab.paths, "other").bridge) in sh("ip -br link")
    assert not mesh.lab.network("other", "10.51.1.0/24", driver="vxlan", vxlan=other).plan
