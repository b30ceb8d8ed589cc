# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks whose containers have their own addresses outside (`gateway_mode: routed`): ports are opened there, and
nothing is translated. The neighbour, whose default route leads here, stands for who is outside."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import GATEWAY_MODES, ROUTED
from ansible_collections.mini.containers.plugins.module_utils.glue.members import bring_members

from .conftest import HOST_LAN, HOST_LAN6, NEIGHBOUR_LAN, NEIGHBOUR_LAN6, sh

both_kinds = pytest.mark.parametrize("backend", ["nftables", "iptables-nft"], indirect=True)
SUBNETS = ("10.20.0.0/24", "fd00:1::/64")


def pings(lab, where: str, ip: str) -> bool:
    command = ["nsenter", f"--net={where}", "/bin/busybox", "ping", "-c1", "-W2", ip]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def routed(lab, *families: int, **more):
    modes = {GATEWAY_MODES[family]: ROUTED for family in families}
    return lab.network("web", *SUBNETS, driver_options=modes, **more)


def publish(lab, box, *ports: PublishedPort) -> None:
    attach.publish(lab.paths, {box.id: [(port, ip) for port in ports for ip in (box.ip, box.ipv6)]})


def test_open_at_its_own_address(lab):
    """What is published alone, from outside and from other networks; and what it sends has its own address."""
    routed(lab, 4, 6)
    lab.network("other", enable_ipv6=True)
    box, stranger = lab.container("web"), lab.container("other")
    for port in (80, 81):
        lab.serve(box.netns, port)
    lab.serve(box.netns, 80, ip=box.ipv6)
    lab.serve(box.netns, 81, ip=box.ipv6)
    lab.serve(lab.neighbour, 90)
    lab.serve(lab.neighbour, 90, ip=NEIGHBOUR_LAN6)
    publish(lab, box, PublishedPort(0, 80))
    # The stranger's own network has NAT.
    for where, caller in (
        (lab.neighbour, (NEIGHBOUR_LAN, NEIGHBOUR_LAN6)),
        (stranger.netns, ("10.20.0.1", "fd00:1::1")),
    ):
        assert (lab.ask(where, box.ip, 80), lab.ask(where, box.ipv6, 80)) == caller
        assert lab.refuses(where, box.ip, 81)
        assert lab.refuses(where, box.ipv6, 81)
        assert pings(lab, where, box.ip)
        assert pings(lab, where, box.ipv6)
    assert lab.refuses(lab.neighbour, HOST_LAN, 80)
    assert lab.ask(box.netns, NEIGHBOUR_LAN, 90) == box.ip
    assert lab.ask(box.netns, NEIGHBOUR_LAN6, 90) == box.ipv6
    assert not routed(lab, 4, 6).plan
    assert lab.ask(None, box.ip, 81) == "10.20.0.1", "the host itself reaches all of it"


@both_kinds
def test_one_family_alone(lab):
    """The other has NAT, and leads from the host's port to the container's."""
    routed(lab, 4)
    box = lab.container("web")
    lab.serve(box.netns, 80)
    lab.serve(box.netns, 80, ip=box.ipv6)
    lab.serve(lab.neighbour, 90, ip=NEIGHBOUR_LAN6)
    attach.publish(lab.paths, {box.id: [(PublishedPort(0, 80), box.ip), (PublishedPort(8080, 80), box.ipv6)]})
    assert lab.ask(lab.neighbour, box.ip, 80) == NEIGHBOUR_LAN
    assert lab.ask(lab.neighbour, HOST_LAN6, 8080) == NEIGHBOUR_LAN6
    assert lab.refuses(lab.neighbour, HOST_LAN, 8080)
    assert lab.refuses(lab.neighbour, box.ipv6, 80)
    assert lab.ask(box.netns, NEIGHBOUR_LAN6, 90) == HOST_LAN6


@both_kinds
def test_a_port_for_some_and_one_for_the_host(lab):
    routed(lab, 4, 6)
    box = lab.container("web")
    for port in (80, 81, 82, 83):
        lab.serve(box.netns, port)
    publish(
        lab,
        box,
        PublishedPort(0, 80, allow_from=("198.51.100.0/24",)),
        PublishedPort(0, 81, allow_from=(f"{NEIGHBOUR_LAN}/32",)),
        PublishedPort(0, 82, host_ip="127.0.0.1"),
    )
    assert lab.ask(lab.neighbour, box.ip, 81)
    assert [lab.refuses(lab.neighbour, box.ip, port) for port in (80, 82, 83)] == [True] * 3


@both_kinds
def test_what_was_opened_is_closed(lab):
    """With the container, with the mode; and what somebody takes away comes back."""
    routed(lab, 4)
    box = lab.container("web")
    lab.serve(box.netns, 80)
    publish(lab, box, PublishedPort(0, 80))
    assert lab.ask(lab.neighbour, box.ip, 80)
    made = sorted(lab.rules())
    sh("nft flush ruleset" if lab.firewall == "nftables" else "iptables -F MINI-OPENED")
    routed(lab, 4)
    assert lab.ask(lab.neighbour, box.ip, 80)
    assert sorted(lab.rules()) == made
    routed(lab)
    assert lab.refuses(lab.neighbour, box.ip, 80)
    routed(lab, 4)
    assert lab.ask(lab.neighbour, box.ip, 80)
    attach.unpublish(lab.paths, [box.id])
    assert lab.refuses(lab.neighbour, box.ip, 80)


@pytest.fixture
def lan(host):
    host.network("lan", "10.77.1.0/24", driver_options={GATEWAY_MODES[4]: ROUTED})
    yield host
    host.absent("a", "b")
    host.no_network("lan")


def listed(name: str) -> str:
    return sh(f"nft list {'map' if name.startswith('any') else 'set'} inet mini {name}")


def test_a_container_takes_no_port_of_the_host(lan):
    """Two may publish the same, none is chosen where none is given; and when the network is another one, they do as
    in any other."""
    lan.container("a", networks=[{"name": "lan"}], published_ports=["8080:80", "81", "8000-8002:90-92/udp"])
    lan.container("b", networks=[{"name": "lan"}], published_ports=["8080:80"])
    ip = lan.record("a").networks["lan"].ipv4
    for text in (f"{ip} . tcp . 80-81", f"{ip} . udp . 90-92", f"{lan.record('b').networks['lan'].ipv4} . tcp . 80"):
        assert text in listed("opened4")
    assert "8080" not in listed("any4")
    assert facts(lan.paths, lan.record("a"))["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == ""
    assert not lan.container("a", published_ports=["8080:80", "81", "8000-8002:90-92/udp"]).plan
    lan.absent("b")
    task(lan, {})
    assert ip not in listed("opened4")
    assert f'tcp . 8080 comment "mini:{lan.record("a").id}' in listed("any4")
    assert not lan.container("a").plan
    task(lan, {GATEWAY_MODES[4]: ROUTED})
    assert f"{ip} . tcp . 80-81" in listed("opened4")
    assert "8080" not in listed("any4")
    assert not lan.container("a").plan
    lan.container("b", networks=[{"name": "lan"}], published_ports=["8080:80"])


def task(host, options) -> None:
    """The task of the network, and what it does to its containers."""
    spec = NetworkSpec("lan", driver_options=options)
    outcome = ensure(host.paths, spec, {"driver_options"})
    bring_members(host.paths, "lan", {"connected": None}, outcome, check=False)
