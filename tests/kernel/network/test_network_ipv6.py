# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks with IPv6: addresses at once, routes, forwarding given back, and a family that comes and goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, HostLacks
from ansible_collections.mini.containers.plugins.module_utils.core.plan import apply
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.actions import actions
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import remove

from .conftest import HOST_LAN6, NEIGHBOUR_LAN6, sh
from .test_network_life import killed, names, one_backend

BOTH = {"enable_ipv6": True}
CREATED = [
    "write-network",
    "install-rules",
    "create-bridge",
    "set-bridge-sysctls",
    "set-gateway",
    "allow-forwarding",
    "allow-forwarding",
]
FORWARDING = "/proc/sys/net/ipv6/conf/all/forwarding"


def inside(box, command: str) -> str:
    return sh(f"nsenter --net={box.netns} {command}")


@one_backend
def test_created_once_and_removed_without_a_trace(lab):
    before = lab.snapshot()
    assert names(lab.network("web", **BOTH)) == CREATED
    assert names(lab.network("web", **BOTH)) == []
    assert names(lab.network("web")) == [], "what is not mentioned stays"
    first = attach.load(lab.paths, "web").spec.subnet6
    assert first.startswith("fd")
    remove(lab.paths, "web")
    assert lab.snapshot() == before
    lab.network("web", **BOTH)
    assert attach.load(lab.paths, "web").spec.subnet6 == first, "it is the host's and the name's"


@one_backend
@pytest.mark.parametrize("families", [BOTH, {"enable_ipv4": False, "enable_ipv6": True}])
def test_containers_talk_at_once(lab, families):
    lab.network("web", **families)
    network = attach.load(lab.paths, "web")
    one, two = lab.container("web", name="one"), lab.container("web", name="two")
    assert bool(one.ip) == families.get("enable_ipv4", True)
    assert "tentative" not in inside(one, "ip -6 address show dev eth0 scope global")
    lab.serve(two.netns, 80, ip="::")
    lab.serve(None, 81, ip="::")
    gateway = network.spec.of_family(6)[0].gateway
    assert lab.ask(one.netns, two.ipv6, 80) == one.ipv6
    assert lab.ask(one.netns, gateway, 81) == one.ipv6
    assert lab.ask(one.netns, HOST_LAN6, 81) == one.ipv6
    assert lab.ask(None, two.ipv6, 80) == gateway
    assert f"default via {gateway}" in inside(one, "ip -6 route")


@one_backend
def test_the_way_out(lab):
    lab.network("web", "fd00:1::/64")
    lab.network("quiet", "fd00:2::/64", internal=True)
    lab.network("other", "fd00:3::/64")
    lab.serve(lab.neighbour, 80, ip="::")
    box = lab.container("web")
    assert lab.ask(box.netns, NEIGHBOUR_LAN6, 80) == HOST_LAN6, "nobody outside knows of the network"
    lab.serve(box.netns, 80, ip="::")
    assert lab.refuses(lab.neighbour, box.ipv6, 80)
    assert lab.refuses(lab.container("other", name="other").netns, box.ipv6, 80)
    quiet = lab.container("quiet", name="quiet")
    assert "default" not in inside(quiet, "ip -6 route")


@one_backend
def test_no_ipv6_where_the_network_has_none(lab):
    lab.network("web")
    box = lab.container("web")
    assert inside(box, "ip -6 address show dev eth0") == ""
    assert "::1" in inside(box, "ip -6 address show dev lo")


@one_backend
def test_a_family_comes_and_goes(lab):
    lab.network("web")
    box = lab.container("web")
    added = ["install-rules", "set-bridge-sysctls", "set-gateway", "allow-forwarding"]
    assert names(lab.network("web", **BOTH)) == ["write-network", *added, "sort-leases"]
    network = attach.load(lab.paths, "web")
    assert attach.misplaced(network, [box.ip]) == "the network has IPv6 now"
    box.ips = {"web": attach.lease(lab.paths, network, box.id)}
    lab.connect(box)
    assert f"{box.ipv6}/64" in inside(box, "ip -6 address")
    with pytest.raises(Conflict, match="containers are attached"):
        lab.network("web", enable_ipv6=False)
    assert names(lab.network("web", enable_ipv6=False, force=True))
    assert "fd" not in sh("ip -6 -o address show scope global | grep -v lan0 || true")


@one_backend
@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("ip address flush dev {bridge}", "set-gateway"),
        ("ip -6 address add 2001:db8:9::1/64 dev {bridge}", "set-gateway"),
        ("echo 1 > /proc/sys/net/ipv6/conf/{bridge}/disable_ipv6", "set-bridge-sysctls"),
        ("echo 2 > /proc/sys/net/ipv6/conf/{bridge}/accept_ra", "set-bridge-sysctls"),
        (f"echo 0 > {FORWARDING}", "allow-forwarding"),
    ],
)
def test_damage_is_repaired_once(lab, damage, repair):
    lab.network("web", **BOTH)
    sh(damage.format(bridge=attach.load(lab.paths, "web").bridge))
    plan = attach.repair_plan(lab.paths, attach.load(lab.paths, "web"))
    assert repair in [step.name for step in plan]
    apply(plan, actions(lab.paths))
    assert not attach.repair_plan(lab.paths, attach.load(lab.paths, "web"))


@one_backend
def test_a_lost_address_or_route_is_seen(lab):
    lab.network("web", **BOTH)
    box = lab.container("web")
    seen = (lab.paths, attach.load(lab.paths, "web"), box.id, box.netns, attach.Plug((box.ip, box.ipv6), 0))
    for damage in ("ip -6 address flush dev eth0 scope global", "ip -6 route del default", "ip link set eth0 down"):
        assert attach.connected(*seen)
        inside(box, damage)
        assert not attach.connected(*seen), damage
        attach.connect(*seen)
    assert attach.connected(*seen)


@one_backend
def test_several_subnets_are_neighbours(lab):
    lab.network("web", "10.20.0.0/30", "10.20.1.0/24", "fd00:1::/126", "fd00:2::/64", internal=True)
    one, two, three = (lab.container("web", name=name) for name in ("one", "two", "three"))
    assert (one.ip, two.ip) == ("10.20.0.2", "10.20.1.2")
    assert (one.ipv6, three.ipv6) == ("fd00:1::2", "fd00:2::2")
    lab.serve(three.netns, 80, ip="::")
    lab.serve(two.netns, 80)
    assert lab.ask(one.netns, three.ipv6, 80) == one.ipv6
    assert lab.ask(one.netns, two.ip, 80) == one.ip


@one_backend
def test_the_first_network_leads_out(lab):
    for name in ("a", "b"):
        lab.network(name, **BOTH)
    box = lab.container("a", "b")
    gateway = attach.load(lab.paths, "a").spec.of_family(6)[0].gateway
    assert inside(box, "ip -6 route get 2001:db8:77::1").split()[4] == gateway


@one_backend
def test_routes_of_routers_are_kept(lab):
    """A router's advertisement would be ignored from now on, and its route run out."""
    sh("echo 1 > /proc/sys/net/ipv6/conf/lan0/accept_ra; ip -6 route add default via fe80::1 dev lan0 proto ra")
    lab.network("web", **BOTH)
    assert Path("/proc/sys/net/ipv6/conf/lan0/accept_ra").read_text().strip() == "2"
    remove(lab.paths, "web")
    assert Path("/proc/sys/net/ipv6/conf/lan0/accept_ra").read_text().strip() == "1"
    sh("ip -6 route del default via fe80::1 dev lan0")


@one_backend
def test_overlaps_are_named(lab):
    lab.network("web", "fd00:1::/64")
    with pytest.raises(Conflict, match=r"fd00:1::/80 overlaps the network web \(fd00:1::/64\)"):
        lab.network("other", "fd00:1::/80")
    with pytest.raises(Conflict, match="overlaps the route 2001:db8:1::/64 on lan0"):
        lab.network("other", "2001:db8:1::/96")


@one_backend
def test_a_kernel_without_ipv6(lab):
    """As with ipv6.disable=1: there are no settings of interfaces."""
    before = lab.snapshot()
    sh("mount -t tmpfs none /proc/sys/net/ipv6/conf")
    try:
        with pytest.raises(HostLacks, match="web is to have IPv6, and this host's kernel has none; boot it without"):
            lab.network("web", **BOTH)
        lab.network("web")
        box = lab.container("web")
        assert box.ip
    finally:
        sh("umount /proc/sys/net/ipv6/conf")
    remove(lab.paths, "web", force=True)
    lab.discard(box)
    assert lab.snapshot() == before


@one_backend
@pytest.mark.parametrize("step", [*dict.fromkeys(CREATED), "after"])
@pytest.mark.parametrize("again", ["present", "absent"])
def test_killed_while_creating(lab, step, again):
    before = lab.snapshot()
    killed(lambda observer: lab.network("web", observer=observer, **BOTH), step, "done")
    if again == "present":
        lab.network("web", **BOTH)
        assert names(lab.network("web", **BOTH)) == []
        assert lab.container("web").ipv6
        lab.clear()
    remove(lab.paths, "web")
    assert lab.snapshot() == before


@one_backend
@pytest.mark.parametrize("step", ["remove-rules", "delete-bridge", "give-back-forwarding", "remove-network"])
def test_killed_while_removing(lab, step):
    before = lab.snapshot()
    lab.network("web", **BOTH)
    killed(lambda observer: remove(lab.paths, "web", observer=observer), step, "done")
    remove(lab.paths, "web")
    assert lab.snapshot() == before
    assert not os.path.exists(lab.paths.host_changes)
