# SPDX-License-Identifier: GPL-3.0-or-later
"""Subnets given and chosen."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.network import pools
from ansible_collections.mini.containers.plugins.module_utils.network.rtnl import Route


@pytest.mark.parametrize("text", ["10.1.0.0/24", "192.168.7.4/30", "10.0.0.0/8", "100.64.0.0/16"])
def test_subnet(text):
    assert pools.parse_subnet(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.0.7/24", r"host bits set; write 10\.1\.0\.0/24"),
        ("10.1.0.0", "no prefix length"),
        ("10.1.0/24", "is not an IPv4 subnet"),
        ("10.1.0.0/129", "is not an IPv4 subnet"),
        ("fd00::/64", "is not an IPv4 subnet"),
        ("web", "is not an IPv4 subnet"),
        ("10.1.0.0/31", "too small"),
        ("8.0.0.0/7", "too large"),
        ("0.0.0.0/0", "too large"),
        ("127.1.0.0/24", "not for hosts"),
        ("224.1.0.0/24", "not for hosts"),
        ("169.254.7.0/24", "not for hosts"),
    ],
)
def test_malformed_subnet(text, why):
    with pytest.raises(BadInput, match=why):
        pools.parse_subnet(text)


def test_gateway():
    assert pools.parse_gateway("", "10.1.0.0/24") == "10.1.0.1"
    assert pools.parse_gateway("10.1.0.254", "10.1.0.0/24") == "10.1.0.254"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.2.0.1", "outside of"),
        ("10.1.0.0", "first or last"),
        ("10.1.0.255", "first or last"),
        ("10.1.0.256", "is not an IPv4 address"),
    ],
)
def test_malformed_gateway(text, why):
    with pytest.raises(BadInput, match=why):
        pools.parse_gateway(text, "10.1.0.0/24")


def test_routes_that_count():
    names = {1: "lo", 2: "eth0", 3: "mini-web"}
    routes = [
        Route("0.0.0.0", 0, "192.0.2.1", 2, 0, 1),
        Route("0.0.0.0", 1, "", 2, 0, 1),
        Route("128.0.0.0", 1, "", 2, 0, 1),
        Route("192.0.2.0", 24, "", 2, 0, 1),
        Route("10.213.0.0", 24, "", 3, 0, 1),
        Route("127.0.0.0", 8, "", 1, 0, 2),
    ]
    assert pools.taken_by_routes(routes, names, own="mini-web") == {"192.0.2.0/24": "the route 192.0.2.0/24 on eth0"}
    assert "10.213.0.0/24" in pools.taken_by_routes(routes, names)


def test_overlap_is_named():
    taken = {"10.0.0.0/8": "the route 10.0.0.0/8 on tun0"}
    pools.check_overlap("172.20.0.0/24", taken)
    with pytest.raises(Conflict, match=r"10\.1\.0\.0/24 overlaps the route 10\.0\.0\.0/8 on tun0; choose"):
        pools.check_overlap("10.1.0.0/24", taken)


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "10.213.0.0/24"),
        (["10.213.0.0/24", "10.213.1.128/25"], "10.213.2.0/24"),
        (["10.0.0.0/8"], "172.30.0.0/24"),
        (["10.0.0.0/8", "172.16.0.0/12"], "192.168.192.0/24"),
        (["10.213.0.53/32"], "10.213.1.0/24"),
    ],
)
def test_choice(taken, chosen):
    assert pools.choose(dict.fromkeys(taken, "something")) == chosen


def test_nothing_left_to_choose():
    with pytest.raises(Conflict, match="no free subnet is left in 10.213"):
        pools.choose(dict.fromkeys(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"], "a route"))


def test_name_servers():
    text = "# nameserver 1.1.1.1\nnameserver 10.213.0.53\nnameserver fe80::1%eth0\nnameserver\nsearch example.org\n"
    assert pools.nameservers(text) == ["10.213.0.53"]
