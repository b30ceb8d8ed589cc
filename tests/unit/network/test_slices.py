# SPDX-License-Identifier: GPL-3.0-or-later
"""A network divided among hosts: who has which slice, and what each must know of the others."""

from __future__ import annotations

import dataclasses
import ipaddress

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Subnet, Vxlan
from ansible_collections.mini.containers.plugins.module_utils.glue.overlay import vxlan_of
from ansible_collections.mini.containers.plugins.module_utils.network import slices
from ansible_collections.mini.containers.plugins.module_utils.network.entries import Entry
from ansible_collections.mini.containers.plugins.module_utils.network.overlay import Overlay, mac_of

HOSTS = {"a": "192.0.2.11", "b": "192.0.2.12", "c": "198.51.100.7"}
VXLAN = Vxlan("a", HOSTS, ("10.50.0.0/16", "fd00:50::/64"), 256, 77)


@pytest.mark.parametrize(
    ("host", "v4", "v6"),
    [("a", "10.50.11.0/24", "fd00:50:0:0:b00::/72"), ("c", "10.50.7.0/24", "fd00:50:0:0:700::/72")],
)
def test_a_slice_is_told_by_the_address(host, v4, v6):
    gateways = [str(ipaddress.ip_network(part)[1]) for part in (v4, v6)]
    assert slices.slices_of(VXLAN, host) == (Subnet(v4, gateway=gateways[0]), Subnet(v6, gateway=gateways[1]))


def test_a_host_more_moves_nobody():
    more = dataclasses.replace(VXLAN, hosts={"0": "192.0.2.5", **HOSTS, "z": "192.0.2.250"})
    assert [slices.slices_of(more, name) for name in HOSTS] == [slices.slices_of(VXLAN, name) for name in HOSTS]


def test_slices_of_ipv6_hosts():
    vxlan = dataclasses.replace(VXLAN, hosts={"a": "2001:db8::1:a"}, subnets=("10.0.0.0/8",), slices=16384)
    assert slices.slices_of(vxlan, "a") == (Subnet("10.0.40.0/22", gateway="10.0.40.1"),)


def test_a_number_by_hand():
    hosts, numbers = slices.parse_hosts({"a": {"address": "192.0.2.11", "slice": "200"}, "b": "192.0.2.12"})
    assert (hosts, numbers) == ({"a": "192.0.2.11", "b": "192.0.2.12"}, {"a": 200})
    vxlan = dataclasses.replace(VXLAN, hosts=hosts, numbers=numbers)
    assert [part.subnet for part in slices.slices_of(vxlan, "a")] == ["10.50.200.0/24", "fd00:50:0:0:c800::/72"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hosts": {**HOSTS, "d": "203.0.113.12"}}, "d and b both have the slice 12"),
        ({"hosts": {**HOSTS, "d": "2001:db8::9"}}, "both families"),
        ({"host": "nobody"}, "'nobody' is none of the hosts"),
        ({"numbers": {"b": 256}}, "b has the slice 256; give 0 to 255"),
        ({"numbers": {"b": -1}}, "b has the slice -1"),
        ({"slices": 100}, "no power of two"),
        ({"slices": 0}, "no power of two"),
        ({"subnets": ("10.50.0.0/24",)}, "cannot be divided into 256"),
        ({"vni": 1 << 24}, "vni: 16777216"),
        ({"port": 0}, "port: 0"),
    ],
)
def test_what_cannot_be(changes, words):
    with pytest.raises(BadInput, match=words):
        slices.check(dataclasses.replace(VXLAN, **changes))


@pytest.mark.parametrize(
    "hosts", [{"a": "web.example"}, {"a": None}, {"a": {"address": "192.0.2.1", "slot": 1}}, {"../a": "192.0.2.1"},
              {"a": {"address": "192.0.2.1", "slice": "x"}}, {"a": ["192.0.2.1"]}]
)  # fmt: skip
def test_hosts_that_are_none(hosts):
    with pytest.raises(BadInput):
        slices.parse_hosts(hosts)


PARAMS = {"driver": "vxlan", "vxlan": {"host": "a", "hosts": HOSTS, "slices": 256, "vni": None, "port": 4789},
          "names": None, "enable_ipv6": None}  # fmt: skip


def test_options():
    found = vxlan_of("mesh", PARAMS, (Subnet("10.50.0.0/16"),))
    assert found == Vxlan("a", HOSTS, ("10.50.0.0/16",), 256, slices.vni_of("mesh"))
    assert 0 < slices.vni_of("mesh") <= slices.VNI_MAX
    assert vxlan_of("mesh", {**PARAMS, "vxlan": None}, ()) is None


@pytest.mark.parametrize(
    ("params", "entries"),
    [
        ({"driver": "bridge"}, ()),
        ({"driver": "bridge", "vxlan": None, "names": {}}, ()),
        ({}, ()),
        ({"vxlan": None}, (Subnet("10.50.0.0/16"),)),
        ({}, (Subnet("10.50.0.0/16", gateway="10.50.0.1"),)),
    ],
)
def test_options_that_contradict_each_other(params, entries):
    with pytest.raises(BadInput):
        vxlan_of("mesh", {**PARAMS, **params}, entries)


def test_entries_grow_with_the_hosts_alone():
    def known(count: int) -> frozenset[Entry]:
        hosts = {f"h{number}": f"192.0.2.{number}" for number in range(1, count + 1)}
        vxlan = dataclasses.replace(VXLAN, host="h1", hosts=hosts, subnets=("10.50.0.0/16",))
        peers = tuple(slices.peers(vxlan))
        return Overlay("vx", "", 77, 4789, "192.0.2.1", ("10.50.1.1",), vxlan.subnets, 1450, peers).entries

    assert known(2) == {
        Entry("unreachable", "10.50.0.0/16"),
        Entry("route", "10.50.2.0/24", "10.50.2.1"),
        Entry("neighbour", "10.50.2.1", "02:76:0a:32:02:01"),
        Entry("forwarding", "02:76:0a:32:02:01", "192.0.2.2"),
    }
    assert [len(known(count)) for count in (1, 10, 100)] == [1, 1 + 3 * 9, 1 + 3 * 99]


def test_mac_addresses_are_apart():
    gateways = [slices.slices_of(VXLAN, name)[1].gateway for name in HOSTS]
    assert len({mac_of(gateway) for gateway in gateways}) == len(HOSTS)
