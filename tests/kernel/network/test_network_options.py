# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of networks and of places in them: what the kernel says of them afterwards."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import remove
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.packetfilter import Sight
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.picture import picture
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import (
    BRIDGE,
    GATEWAY_MODES,
    ISOLATED,
)
from ansible_collections.mini.containers.plugins.module_utils.network import netns

from .conftest import NEIGHBOUR_LAN, sh
from .test_network_life import names, one_backend

EMPTY = "for t in raw filter nat; do iptables -t $t -F; ip6tables -t $t -F; done"
FLUSH = {"nftables": "nft flush ruleset", "iptables": EMPTY}


@one_backend
def test_the_mtu_is_that_of_the_way_out(lab):
    sh(f"ip link set lan0 mtu 1420; ip route add default via {NEIGHBOUR_LAN}")
    lab.network("web")
    sh("ip link set lan0 mtu 1500")
    assert names(lab.network("web")) == [], "it is kept"
    box = lab.container("web")
    assert "mtu 1420" in sh(f"ip link show {attach.load(lab.paths, 'web').bridge}")
    assert "mtu 1420" in sh(f"nsenter --net={box.netns} ip link show eth0")
    sh("ip route del default")


@one_backend
def test_a_bridge_with_a_name(lab):
    lab.network("web", driver_options={BRIDGE: "br-web"})
    assert "mini:web" in sh("ip link show br-web")
    with pytest.raises(Conflict, match="br-web is taken by a bridge with the alias 'mini:web"):
        lab.network("other", driver_options={BRIDGE: "br-web"})
    with pytest.raises(Conflict, match="lan0 is taken by a veth"):
        lab.network("other", driver_options={BRIDGE: "lan0"})
    with pytest.raises(Conflict, match="the bridge br-web, which cannot become br1"):
        lab.network("web", driver_options={BRIDGE: "br1"})
    assert names(lab.network("web")) == []
    assert lab.container("web").ip
    remove(lab.paths, "web", force=True)
    assert "br-web" not in sh("ls /sys/class/net")


@one_backend
def test_settings_of_an_interface(lab):
    lab.network("web")
    box = lab.container("web")
    network = attach.load(lab.paths, "web")
    plug = attach.Plug((box.ip,), 0, sysctls={"ipv4/conf/IFNAME/log_martians": "1"})
    attach.connect(lab.paths, network, box.id, box.netns, plug)
    assert sh(f"nsenter --net={box.netns} sysctl -n net.ipv4.conf.eth0.log_martians") == "1\n"
    assert "1" not in sh("sysctl -n net.ipv4.conf.lan0.log_martians"), "it is the container's alone"
    plug = attach.Plug((box.ip,), 0, sysctls={"ipv4/conf/IFNAME/no_such": "1"})
    with pytest.raises(FileNotFoundError, match="ipv4.conf.eth0.no_such"):
        attach.connect(lab.paths, network, box.id, box.netns, plug)


def test_the_whole_picture(lab):
    lab.network("web", "10.20.0.0/29", "fd00:1::/64")
    record = attach.load(lab.paths, "web")
    one, gone = lab.container("web", name="one"), lab.define("web", name="gone")
    sh(f"rm -r {lab.paths.container(gone.id)}")
    seen = picture(lab.paths, record, Sight(lab.paths))
    assert seen["Leases"][one.ipv6] == {"Container": one.id, "Name": "one", "Orphan": False}
    assert seen["Leases"][gone.ip]["Orphan"]
    assert [(entry["Size"], entry["Used"]) for entry in seen["Usage"]] == [(5, 2), (2**64 - 2, 2)]
    assert seen["Drift"] == []
    assert seen["Firewall"].startswith(lab.firewall)
    assert all(rule["Present"] for rule in seen["Rules"])
    assert any("10.20.0.0/29" in rule["Rule"] for rule in seen["Rules"])
    sh(f"ip link set {record.bridge} down; {FLUSH[lab.firewall]}")
    drifted = picture(lab.paths, record, Sight(lab.paths))
    assert not any(rule["Present"] for rule in drifted["Rules"])
    assert {line.split()[0] for line in drifted["Drift"]} >= {"set-gateway", "restore-rules"}


@one_backend
def test_a_bridge_that_has_no_port_left(lab, tmp_path):
    """One sentence, and no cable half laid."""
    lab.network("web")
    bridge = attach.load(lab.paths, "web").bridge
    pair = "link add d{0} group 77 master {1} type veth peer name e{0}\nlink set e{0} master {1}\n"
    lines = [pair.format(number, bridge) for number in range(511)]
    lines.append(f"link add d511 group 77 master {bridge} type veth\n")
    (tmp_path / "batch").write_text("".join(lines), encoding="ascii")
    sh(f"ip -batch {tmp_path}/batch")
    box = lab.define("web")
    netns.create(box.netns)
    before = sh("ls /sys/class/net")
    with pytest.raises(Conflict, match=f"the bridge {bridge} has no port left: the kernel gives it 1023"):
        lab.connect(box)
    assert sh("ls /sys/class/net") == before
    sh("ip link del group 77")
    lab.connect(box)


@one_backend
def test_containers_on_their_own(lab):
    """An internal network that is isolated has no address of the host, in the family that says so."""
    modes = {"driver_options": {GATEWAY_MODES[4]: ISOLATED}}
    with pytest.raises(BadInput, match="only an internal network can be so; give internal: true as well"):
        lab.network("web", **modes)
    lab.network("web", "10.20.0.0/24", "fd00:1::/64", internal=True, **modes)
    one, two = lab.container("web", name="one"), lab.container("web", name="two")
    bridge = attach.load(lab.paths, "web").bridge
    assert "10.20.0." not in sh(f"ip address show {bridge}")
    for ip in (one.ip, one.ipv6):
        lab.serve(one.netns, 80, ip=ip)
    assert lab.ask(two.netns, one.ip, 80) == two.ip
    assert lab.refuses(None, one.ip, 80)
    assert lab.ask(None, one.ipv6, 80) == "fd00:1::1"
    assert not lab.network("web", internal=True, **modes).plan
    sh(f"ip address add 10.20.0.1/24 dev {bridge}")
    assert [step.name for step in lab.network("web").plan] == ["set-gateway"]
    assert lab.refuses(None, one.ip, 80)
    lab.network("web", driver_options={GATEWAY_MODES[4]: ISOLATED, GATEWAY_MODES[6]: ISOLATED})
    assert lab.refuses(None, one.ipv6, 80)
    assert lab.ask(two.netns, one.ipv6, 80) == two.ipv6
    assert not lab.network("web").plan
    lab.network("web", driver_options={})
    assert lab.ask(None, one.ip, 80) == "10.20.0.1"
