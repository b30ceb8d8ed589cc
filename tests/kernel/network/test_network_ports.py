# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports of both families, for some and for all, and what networks may: real packets through real rules."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import (
    GATEWAY_MODES,
    ICC,
    MASQUERADE,
    UNPROTECTED,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.network import NETWORK_OPTIONS, given, network_spec
from ansible_collections.mini.containers.plugins.module_utils.network import netns, ports
from ansible_collections.mini.containers.plugins.module_utils.network.firewall import nfnetlink, ruleset

from ..waiting import eventually
from .conftest import HOST_LAN, HOST_LAN6, NEIGHBOUR_LAN, NEIGHBOUR_LAN6, sh

both_kinds = pytest.mark.parametrize("backend", ["nftables", "iptables-nft"], indirect=True)
with_nftables = pytest.mark.parametrize("backend", ["nftables"], indirect=True)


@both_kinds
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ipv6_from_everywhere(lab, protocol):
    lab.network("web", enable_ipv6=True)
    lab.network("other", enable_ipv6=True)
    box, sibling, stranger = lab.container("web"), lab.container("web"), lab.container("other")
    lab.serve(box.netns, 80, protocol, "::")
    lab.publish(box, f"8080:80/{protocol}")
    assert lab.ask(lab.neighbour, HOST_LAN6, 8080, protocol) == NEIGHBOUR_LAN6, "the neighbour's own address is seen"
    assert lab.ask(lab.neighbour, HOST_LAN, 8080, protocol) == f"::ffff:{NEIGHBOUR_LAN}", "IPv4 as well"
    for client in (None, box.netns, sibling.netns, stranger.netns):
        assert lab.ask(client, HOST_LAN6, 8080, protocol)
    route = f"ip -6 route replace {box.ipv6} via {HOST_LAN6}"
    sh(f"nsenter --net={lab.neighbour} {route}")
    assert lab.refuses(lab.neighbour, box.ipv6, 80, protocol), "no direct way"
    assert lab.refuses(stranger.netns, box.ipv6, 80, protocol), "networks are kept apart"
    lab.serve(lab.neighbour, 9000, protocol, "::")
    assert lab.ask(box.netns, NEIGHBOUR_LAN6, 9000, protocol) == HOST_LAN6, "masqueraded"


@both_kinds
def test_loopback_of_ipv6(lab):
    """Where bridges do not call the packet filter, as on a host without docker. The host's own ::1 stays its own."""
    sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables || true")
    lab.network("web", enable_ipv6=True)
    lab.network("other", enable_ipv6=True)
    box, second = lab.container("web"), lab.container("other")
    for each, text in ((box, "8080:80"), (second, "[::1]:8081:80")):
        lab.serve(each.netns, 80, ip="::")
        lab.publish(each, text, text + "/udp")
    lab.serve(box.netns, 80, "udp", "::")
    lab.serve(None, 7000, ip="::1")
    assert lab.ask(None, "::1", 8080)
    assert lab.ask(None, "::1", 8080, "udp")
    assert lab.ask(None, "::1", 8081)
    assert lab.ask(None, "::1", 7000) == "::1"
    assert lab.refuses(lab.neighbour, HOST_LAN6, 8081)
    assert not lab.network("web", enable_ipv6=True).plan
    bridge = attach.load(lab.paths, "web").bridge
    sh(f"ip -6 route del local ::1 dev {bridge} table local metric 2048")
    assert [step.name for step in lab.network("web", enable_ipv6=True).plan] == ["set-gateway"]
    assert lab.ask(None, "::1", 8080)


@both_kinds
def test_one_family_or_one_address(lab):
    lab.network("web", enable_ipv6=True)
    box = lab.container("web")
    lab.serve(box.netns, 80, ip="::")
    lab.publish(box, "0.0.0.0:8004:80", "[::]:8006:80", f"[{HOST_LAN6}]:8007:80", f"{HOST_LAN}:8008:80")
    assert lab.ask(lab.neighbour, HOST_LAN, 8004)
    assert lab.ask(lab.neighbour, HOST_LAN6, 8006)
    assert lab.ask(lab.neighbour, HOST_LAN6, 8007)
    assert lab.ask(lab.neighbour, HOST_LAN, 8008)
    assert lab.refuses(lab.neighbour, HOST_LAN6, 8004)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8006)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8007)
    assert lab.refuses(lab.neighbour, HOST_LAN6, 8008)


def test_a_port_for_some(lab):
    """For all others nothing listens there; the host itself comes in by its loopback address."""
    lab.network("web", enable_ipv6=True)
    box, sibling = lab.container("web"), lab.container("web")
    lab.serve(box.netns, 80, ip="::")
    sh(f"nsenter --net={lab.neighbour} ip address add 192.0.2.77/24 dev eth0")
    allowed = {"published": "8080:80", "allow_from": [f"{NEIGHBOUR_LAN}/32", "2001:db8:1::/64"]}
    lab.publish(box, allowed, {"published": "8000-8001:80-81", "allow_from": "198.51.100.0/24"})
    assert lab.ask(lab.neighbour, HOST_LAN, 8080) == f"::ffff:{NEIGHBOUR_LAN}"
    assert lab.ask(lab.neighbour, HOST_LAN6, 8080) == NEIGHBOUR_LAN6
    assert lab.ask(None, "127.0.0.1", 8080)
    with netns.entered(lab.neighbour):
        other = socket.socket()
    with other:
        other.bind(("192.0.2.77", 0))
        other.settimeout(5)
        with pytest.raises(ConnectionRefusedError):
            other.connect((HOST_LAN, 8080))
    assert lab.refuses(sibling.netns, HOST_LAN, 8080)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8000)
    lab.publish(box, "8080:80")
    assert lab.ask(sibling.netns, HOST_LAN, 8080), "and for everyone, without a restart"


@both_kinds
def test_networks_that_are_not_isolated(lab):
    for name in ("web", "other", "alone"):
        lab.network(name, enable_ipv6=True, isolate=name == "alone")
    box, friend, stranger = lab.container("web"), lab.container("other"), lab.container("alone")
    for each in (box, stranger):
        lab.serve(each.netns, 80, ip="::")
    assert lab.ask(friend.netns, box.ip, 80)
    assert lab.ask(friend.netns, box.ipv6, 80)
    assert lab.refuses(stranger.netns, box.ip, 80)
    assert lab.refuses(friend.netns, stranger.ip, 80)
    assert lab.refuses(lab.neighbour, box.ip, 80), "a neighbour is in none of our networks"
    lab.network("other", isolate=True)
    assert lab.refuses(friend.netns, box.ip, 80)


@both_kinds
def test_without_masquerade(lab):
    lab.network("web", driver_options={MASQUERADE: "false"})
    box = lab.container("web")
    lab.serve(lab.neighbour, 9000)
    sh(f"nsenter --net={lab.neighbour} ip route replace 10.213.0.0/24 via {HOST_LAN}")
    assert lab.ask(box.netns, NEIGHBOUR_LAN, 9000) == box.ip, "its own address is seen"


@both_kinds
def test_without_talk_between_containers(lab):
    """Neither by the bridge, which may not call the packet filter, nor through the host as a router."""
    sh("echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables || true")
    lab.network("web", driver_options={ICC: "true"})
    box, sibling = lab.container("web"), lab.container("web")
    lab.serve(box.netns, 80)
    lab.publish(box, "8080:80")
    assert lab.ask(sibling.netns, box.ip, 80)
    lab.network("web", driver_options={ICC: "false"})
    for each in (box, sibling):
        lab.connect(each)
    assert lab.refuses(sibling.netns, box.ip, 80)
    sh(f"nsenter --net={sibling.netns} ip route add {box.ip} via 10.213.0.1")
    assert lab.refuses(sibling.netns, box.ip, 80)
    assert lab.ask(sibling.netns, HOST_LAN, 8080), "a published port is for everyone"
    assert lab.ask(None, box.ip, 80), "and the host reaches all"


@with_nftables
def test_a_port_of_another_state_root(lab):
    """Claims are kept by state root; the map knows better."""
    lab.network("web")
    first = lab.container("web")
    lab.publish(first, "8080:80")
    other = Paths("/run/lab/second", "/run/lab/second-run")
    ensure(other, NetworkSpec("web"), frozenset())
    with pytest.raises(Conflict, match=f"container {first.id[:12]} of another state root has it"):
        attach.publish(other, {"e" * 64: [(port, "10.213.1.2") for port in ports.parse(["8080:80"])]})
    remove(other, "web")


@with_nftables
def test_what_a_dead_container_left_is_replaced(lab):
    """The file beside its running state is gone, as after a kill; who has the port now has claimed it."""
    lab.network("web")
    dead, heir = lab.container("web"), lab.container("web")
    lab.publish(dead, "8080:80")
    os.unlink(lab.paths.published(dead.id))
    attach.evict(lab.paths, dead.id)
    lab.serve(heir.netns, 80)
    lab.publish(heir, "8080:80")
    assert lab.ask(lab.neighbour, HOST_LAN, 8080)


@with_nftables
def test_a_port_is_looked_up(lab, monkeypatch):
    """Neither a look nor a change lists all ports that are published."""
    lab.network("web")
    box = lab.container("web")
    many = [f"{port}:80" for port in range(20000, 21000)]
    lab.publish(box, *many)
    listed = []
    monkeypatch.setattr(nfnetlink.Table, "elements", _counting(nfnetlink.Table.elements, listed))
    second = lab.container("web")
    wanted = lab.publish(second, "8080:80")
    assert attach.published(second.id, wanted, attach.Sight(lab.paths)) == []
    lab.publish(second)
    assert not set(listed) & set(ruleset.OF_PORTS)
    sh("nft delete element inet mini any4 '{ tcp . 20500 }'")
    every = [(port, box.ip) for port in ports.parse(many)]
    assert attach.published(box.id, every, attach.Sight(lab.paths)) == ["the rule for 20500/tcp is missing"]
    attach.publish(lab.paths, {box.id: every})
    assert attach.published(box.id, every, attach.Sight(lab.paths)) == []


def _counting(function, listed):
    def counted(self, name):
        listed.append(name)
        return function(self, name)

    return counted


def test_all_rules_come_back_with_one(lab):
    """Whoever is the first to find a flush puts back the rules of every network and of every container."""
    lab.network("web")
    lab.network("other")
    box, second = lab.container("web"), lab.container("other")
    for each, port in ((box, "8080:80"), (second, "8081:80")):
        lab.serve(each.netns, 80)
        lab.publish(each, port)
    gone = lab.container("web")
    lab.publish(gone, "8082:80")
    lab.discard(gone)
    made = sorted(lab.rules())
    for flush in FLUSHES[lab.firewall]:
        sh(flush)
        assert [step.name for step in lab.network("other").plan] == ["restore-rules"], flush
        assert sorted(lab.rules()) == made, flush
        assert not lab.network("web").plan
    assert lab.ask(lab.neighbour, HOST_LAN, 8080)
    assert lab.ask(lab.neighbour, HOST_LAN, 8081)


FLUSHES = {
    "nftables": ("nft flush ruleset", "nft delete table inet mini", "nft flush chain inet mini translate"),
    "iptables": (
        "iptables -F",
        "iptables -t nat -F",
        "iptables -F; iptables -t nat -F; iptables -t raw -F; iptables -X",
    ),
}


def test_unprotected_is_open_for_those_outside(lab):
    """Who has a route reaches every port of a container, in the family that says so; other networks do not."""
    options = {"enable_ipv6": True, "driver_options": {GATEWAY_MODES[4]: UNPROTECTED}}
    lab.network("web", "10.20.0.0/24", "fd00:1::/64", **options)
    lab.network("other")
    box, stranger = lab.container("web"), lab.container("other")
    lab.serve(box.netns, 80)
    lab.serve(box.netns, 81, ip="::")
    assert lab.ask(lab.neighbour, box.ip, 80) == NEIGHBOUR_LAN, "with its own address"
    assert lab.refuses(lab.neighbour, box.ipv6, 81)
    assert lab.refuses(stranger.netns, box.ip, 80)
    assert lab.network("web", **{**options, "driver_options": {}}).plan
    assert lab.refuses(lab.neighbour, box.ip, 80)


@pytest.mark.parametrize("backend", ["nftables", "iptables-legacy"], indirect=True)
def test_another_driver_takes_over(lab):
    lab.network("web", enable_ipv6=True)
    box = lab.container("web")
    lab.serve(box.netns, 80, ip="::")
    wanted = lab.publish(box, "8080:80")
    before, first = sorted(lab.rules()), lab.firewall
    assert not lab.network("web").plan
    lab.firewall = {"nftables": "iptables", "iptables": "nftables"}[first]
    assert [step.name for step in lab.network("web").plan] == ["restore-rules"]
    assert not set(before) & set(lab.rules()), "nothing is left of the other"
    assert attach.published(box.id, wanted, attach.Sight(lab.paths)) == []
    lab.firewall = ""
    assert not lab.network("web").plan, "who does not say goes on with it"
    eventually(lambda: lab.ask(lab.neighbour, HOST_LAN6, 8080))
    assert lab.ask(lab.neighbour, HOST_LAN, 8080)
    lab.firewall = first
    lab.network("web")
    assert sorted(lab.rules()) == before


@both_kinds
def test_a_network_over_many_hosts_converges(lab):
    params = {name: option.get("default") for name, option in NETWORK_OPTIONS.items()}
    ipam = [{"subnet": "10.50.0.0/16"}, {"subnet": "fd00:50::/64"}]
    hosts = {"hosts": {"h1": HOST_LAN, "h2": NEIGHBOUR_LAN}, "host": "h1", "slices": 256, "vni": None, "port": 4789}
    params.update(name="mesh", driver="vxlan", ipam_config=ipam, vxlan=hosts)
    spec = network_spec(params)
    assert ensure(lab.paths, spec, given(params), firewall=lab.firewall).plan
    assert not ensure(lab.paths, spec, given(params), firewall=lab.firewall).plan
