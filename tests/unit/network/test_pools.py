# SPDX-License-Identifier: GPL-3.0-or-later
"""Subnets given and chosen."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Subnet
from ansible_collections.mini.containers.plugins.module_utils.network import pools
from ansible_collections.mini.containers.plugins.module_utils.network.rtnl import Route


@pytest.mark.parametrize("text", ["10.1.0.0/24", "192.168.7.4/30", "100.64.0.0/16", "fd00::/64", "2001:db8::/32"])
def test_subnet(text):
    assert pools.parse_subnet(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.1.0.7/24", r"host bits set; write 10\.1\.0\.0/24"),
        ("10.1.0.0", "no prefix length"),
        ("10.1.0/24", "is not a subnet"),
        ("10.1.0.0/129", "is not a subnet"),
        ("fd00::1/64", r"host bits set; write fd00::/64"),
        ("fd00::/127", "too small; use a /16 to a /126"),
        ("fe80::/64", "not for hosts"),
        ("::ffff:10.1.0.0/112", "not for hosts"),
        ("ff02::/64", "not for hosts"),
        ("fd00::%eth0/64", "is not a subnet"),
        ("web", "is not a subnet"),
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
    with pytest.raises(BadInput):
        pools.parse_gateway("fd00::1%\n192.0.2.1 bank", "fd00::/64")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("10.2.0.1", "outside of"),
        ("10.1.0.0", "first or last"),
        ("10.1.0.255", "first or last"),
        ("10.1.0.256", "is not an address"),
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
        Route("::", 0, "fe80::1", 2, 1024, 1),
        Route("2000::", 3, "", 2, 1024, 1),
        Route("fe80::", 64, "", 2, 256, 1),
        Route("fd00:1::", 64, "", 3, 256, 1),
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
    assert pools.choose(taken) == chosen


def test_nothing_left_to_choose():
    with pytest.raises(Conflict, match="no free subnet is left in 10.213"):
        pools.choose(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])


def test_name_servers():
    text = "# nameserver 1.1.1.1\nnameserver 10.213.0.53\nnameserver fe80::1%eth0\nnameserver\nsearch example.org\n"
    assert pools.nameservers(text) == ["10.213.0.53", "fe80::1"]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"iprange": "10.2.0.0/28"}, r"iprange: 10\.2\.0\.0/28 is outside of 10\.1\.0\.0/24"),
        ({"iprange": "10.1.0.0/16"}, "iprange: .* outside"),
        ({"iprange": "10.1.0.9/28"}, r"iprange: .* host bits set; write 10\.1\.0\.0/28"),
        ({"iprange": "fd00::/80"}, "iprange: .* outside"),
        ({"gateway": "fd00::1"}, "gateway: .* outside"),
        ({"aux": {"router": "10.2.0.1"}}, "aux_addresses: router: .* outside"),
        ({"aux": {"router": "10.1.0.9"}, "gateway": "10.1.0.9"}, "10.1.0.9 is there twice"),
        ({"aux": {"a": "10.1.0.9", "b": "10.1.0.9"}}, "10.1.0.9 is there twice"),
    ],
)
def test_malformed_entry(entry, why):
    with pytest.raises(BadInput, match=why):
        pools.parse("10.1.0.0/24", **entry)


def test_entry():
    aux = {"router": "fd00:0:0:0::9"}
    assert pools.parse("fd00::/64", "fd00::0:0:1:0/112", "FD00::1", aux) == Subnet(
        "fd00::/64", "fd00::1:0/112", "fd00::1", {"router": "fd00::9"}
    )


def test_a_unique_local_subnet_is_the_hosts_and_the_networks():
    first = pools.choose6([], "host", "web")
    assert first == pools.choose6(["10.0.0.0/8"], "host", "web")
    assert first.startswith("fd")
    assert first.endswith("::/64")
    others = {pools.choose6([], "other", "web"), pools.choose6([], "host", "db"), pools.choose6([first], "host", "web")}
    assert len({first, *others}) == 4
