# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: real packets through real rules."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.network import netns

from ..waiting import eventually
from .conftest import HOST_LAN, NEIGHBOUR_LAN, sh

HOSTS = (("nftables", ""), ("nftables", "DROP"), ("iptables-nft", "DROP"), ("iptables-legacy", ""))
"""Each driver, on hosts that forward what nobody speaks of, and on hosts that do not, as where docker is."""


@pytest.fixture(params=HOSTS, ids=lambda pair: "-".join(filter(None, pair)))
def kind(request):
    """One of these hosts."""
    return request.param


@pytest.fixture
def backend(kind):
    return kind[0]


@pytest.fixture
def policy(kind, lab):
    """Networks work under either policy of FORWARD, and do not change it."""
    if kind[1]:
        sh(f"iptables -P FORWARD {kind[1]}")
    yield kind[1]
    assert not kind[1] or f":FORWARD {kind[1]} " in sh("iptables-save")
    sh("iptables -P FORWARD ACCEPT")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_published_port_from_everywhere(lab, policy, protocol):
    lab.network("web")
    lab.network("other")
    box, sibling, stranger = lab.container("web"), lab.container("web"), lab.container("other")
    lab.serve(box.netns, 80, protocol)
    lab.publish(box, f"8080:80/{protocol}")
    assert lab.ask(lab.neighbour, HOST_LAN, 8080, protocol) == NEIGHBOUR_LAN, "the neighbour's own address is seen"
    assert lab.ask(None, HOST_LAN, 8080, protocol)
    assert lab.ask(None, "127.0.0.1", 8080, protocol) == "10.213.0.1"
    assert lab.ask(None, "10.213.0.1", 8080, protocol)
    assert lab.ask(box.netns, HOST_LAN, 8080, protocol), "its own published port"
    assert lab.ask(sibling.netns, HOST_LAN, 8080, protocol), "a sibling's"
    assert lab.ask(stranger.netns, HOST_LAN, 8080, protocol), "that of another network"
    assert lab.ask(sibling.netns, box.ip, 80, protocol) == sibling.ip, "siblings need no published port"


def test_out_to_the_world(lab, policy):
    lab.network("web")
    box = lab.container("web")
    lab.serve(lab.neighbour, 9000)
    assert lab.ask(box.netns, NEIGHBOUR_LAN, 9000) == HOST_LAN, "masqueraded"


def weaken(lab, nftables: str, iptables: str) -> None:
    """Take a defence away."""
    sh(nftables if lab.firewall == "nftables" else iptables)


def claim_loopback(where: str, gateway: str) -> None:
    """Let a namespace send packets for 127.0.0.1 over the wire."""
    sh(
        f"nsenter --net={where} sh -ec 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet;"
        f" ip route del local 127.0.0.0/8 table local; ip route del local 127.0.0.1 table local;"
        f" ip route add 127.0.0.1 via {gateway}'"
    )


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_bound_to_loopback_is_for_this_host_alone(lab, policy, protocol):
    lab.network("web")
    box, sibling = lab.container("web"), lab.container("web")
    lab.serve(box.netns, 80, protocol)
    lab.publish(box, f"127.0.0.1:8080:80/{protocol}")
    assert lab.ask(None, "127.0.0.1", 8080, protocol)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8080, protocol)
    assert lab.refuses(sibling.netns, HOST_LAN, 8080, protocol)


def test_loopback_over_the_wire(lab, policy):
    """A neighbour sends 127.0.0.1 as the destination, to a host that accepts such packets."""
    lab.network("web")
    box = lab.container("web")
    lab.publish(box, "127.0.0.1:8080:80/udp")
    claim_loopback(lab.neighbour, HOST_LAN)
    sh("echo 1 > /proc/sys/net/ipv4/conf/lan0/route_localnet")
    attack = (lab.neighbour, "127.0.0.1", 8080, box.netns, 80)
    assert not lab.arrives(*attack)
    weaken(
        lab,
        "nft flush chain inet mini prerouting; nft add rule inet mini prerouting jump translate",
        "iptables -t nat -A PREROUTING -j MINI-DNAT",
    )
    sh("conntrack -F")
    eventually(lambda: lab.arrives(*attack))  # without the exception in PREROUTING it was open
    sh("iptables -t nat -D PREROUTING -j MINI-DNAT || true")


def test_host_loopback_is_closed_to_containers(lab, policy):
    lab.network("web")
    box = lab.container("web")
    claim_loopback(box.netns, "10.213.0.1")
    attack = (box.netns, "127.0.0.1", 7000, None, 7000)
    assert not lab.arrives(*attack)
    weaken(lab, "nft flush chain inet mini raw", "iptables -t raw -F MINI-RAW")
    eventually(lambda: lab.arrives(*attack))  # without the rule it was open


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_no_direct_way_to_a_container(lab, policy, protocol):
    lab.network("web")
    box = lab.container("web")
    lab.serve(box.netns, 80, protocol)
    lab.serve(box.netns, 81, protocol)
    lab.publish(box, f"8080:80/{protocol}")
    assert lab.refuses(lab.neighbour, box.ip, 80, protocol), "a published one only as published"
    assert lab.refuses(lab.neighbour, box.ip, 81, protocol)
    assert lab.ask(lab.neighbour, HOST_LAN, 8080, protocol)


def test_networks_are_kept_apart(lab, policy):
    lab.network("web")
    lab.network("other")
    box, stranger, both = lab.container("web"), lab.container("other"), lab.container("web", "other")
    lab.serve(box.netns, 80)
    lab.serve(stranger.netns, 80)
    assert lab.refuses(stranger.netns, box.ip, 80)
    assert lab.refuses(box.netns, stranger.ip, 80)
    assert lab.ask(both.netns, box.ip, 80) == both.ips["web"].ipv4
    assert lab.ask(both.netns, stranger.ip, 80) == both.ips["other"].ipv4


def test_internal_network(lab, policy):
    lab.network("web", internal=True)
    box, sibling = lab.container("web"), lab.container("web")
    lab.serve(lab.neighbour, 9000)
    lab.serve(box.netns, 80)
    lab.publish(box, "8080:80")
    assert lab.ask(sibling.netns, box.ip, 80)
    assert lab.ask(None, "127.0.0.1", 8080)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8080)
    assert "default" not in sh(f"nsenter --net={box.netns} ip route")
    sh(f"nsenter --net={box.netns} ip route add default via 10.213.0.1")
    sh(f"nsenter --net={lab.neighbour} ip route replace 10.213.0.0/24 via {HOST_LAN}")
    assert lab.refuses(box.netns, NEIGHBOUR_LAN, 9000)
    lab.network("web", internal=False)
    lab.connect(box)
    assert lab.ask(box.netns, NEIGHBOUR_LAN, 9000)


def test_ranges_lead_one_to_one(lab):
    lab.network("web")
    box = lab.container("web")
    for port in (80, 81, 82, 9000, 9001):
        lab.serve(box.netns, port)
    lab.publish(box, "8000-8002:80-82", "9000-9001:9000-9001")
    if lab.firewall == "iptables":
        assert sh("iptables-save").count("DNAT --to") == 2, "one rule a range"
    sh(f"nsenter --net={box.netns} iptables -A INPUT -p tcp --dport 81 -j REJECT")
    assert lab.ask(lab.neighbour, HOST_LAN, 8000)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8001)
    assert lab.ask(lab.neighbour, HOST_LAN, 8002)
    assert lab.ask(None, "127.0.0.1", 8002)
    assert lab.ask(lab.neighbour, HOST_LAN, 9001)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8003)


def test_one_address_of_the_host(lab):
    lab.network("web")
    box = lab.container("web")
    sh("ip address add 192.0.2.10/24 dev lan0")
    lab.serve(box.netns, 80)
    lab.publish(box, "192.0.2.10:8080:80")
    assert lab.ask(lab.neighbour, "192.0.2.10", 8080)
    assert lab.ask(None, "192.0.2.10", 8080)
    assert lab.refuses(lab.neighbour, HOST_LAN, 8080)
    assert lab.refuses(None, "127.0.0.1", 8080)
    sh("ip address del 192.0.2.10/24 dev lan0")


def test_rules_of_the_administrator_come_first_in_nat(lab):
    lab.network("web")
    box = lab.container("web")  # nothing listens in it
    lab.serve(None, 7000)
    sh("iptables -t nat -I PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 7000")
    lab.publish(box, "8080:80")
    assert sh("iptables -t nat -S PREROUTING").splitlines()[1].endswith("7000")
    assert lab.ask(lab.neighbour, HOST_LAN, 8080) == NEIGHBOUR_LAN, "the host's server answers, not the container's"
    sh("iptables -t nat -D PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 7000")


def test_udp_client_that_called_before(lab):
    """A flow that began before its port was published, or led elsewhere, has a stale entry in the kernel's table."""
    import socket

    lab.network("web")
    first, second = lab.container("web"), lab.container("web")
    lab.serve(first.netns, 53, "udp")
    lab.serve(second.netns, 53, "udp")
    with netns.entered(lab.neighbour):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(0.3)
        client.connect((HOST_LAN, 5353))
        assert _says(client) == ""
        lab.publish(first, "5353:53/udp")
        eventually(lambda: _says(client) == NEIGHBOUR_LAN)
        lab.publish(first)
        assert _says(client) == ""
        lab.publish(second, "5353:53/udp")
        eventually(lambda: _says(client) == NEIGHBOUR_LAN)


def _says(client) -> str:
    for _attempt in range(2):
        try:
            client.send(b"?")
            return client.recv(100).decode()
        except OSError:  # the first call after a refusal only reports that refusal
            continue
    return ""
