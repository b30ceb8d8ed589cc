# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of networks, by tables: it is a pure function."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.codec import decode, encode
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, HostLacks
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, Subnet
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.plan import (
    plan_absent,
    plan_present,
    plan_repair,
    resolve,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import BRIDGE as NAME
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import (
    GATEWAY_MODES,
    HOST_BINDING,
    ICC,
    NetworkRecord,
    lan_of,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.driver_options import MTU
from ansible_collections.mini.containers.plugins.module_utils.glue.network import NETWORK_OPTIONS, given, network_spec
from ansible_collections.mini.containers.plugins.module_utils.network import bridge
from ansible_collections.mini.containers.plugins.module_utils.network.bridge import BridgeState
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.changes import Found, Present
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.iptables import Iptables


def one(subnet: str, gateway: str = "") -> tuple[Subnet, ...]:
    return (Subnet(subnet, gateway=gateway),)


SPEC = NetworkSpec("web", ipam_config=one("10.1.0.0/24", "10.1.0.1"))
RECORD = NetworkRecord("1" * 64, SPEC, "mini-web", "2030-01-01T00:00:00Z")
BRIDGE = BridgeState(
    3, "bridge", "mini:web", "02:6d:0a:01:00:01", 1500, True, ("10.1.0.1/24",), bridge.sysctls("mini-web", ipv6=False)
)
NOTHING = Observation("web", "mini-web", "mini:web", last=True)


DIALECT = Iptables().dialect
OF_WEB = DIALECT.rules_of("mini-web", lan_of("mini-web", SPEC))


def present(*rules) -> Present:
    found = Present(DIALECT)
    for rule in rules:
        found.add(rule.place, Found(rule.tag, rule.owner))
    return found


RIGHT = Observation(
    "web",
    "mini-web",
    "mini:web",
    record=RECORD,
    directory=True,
    bridge=BRIDGE,
    rules=present(*DIALECT.host, *OF_WEB),
    firewall="iptables",
    forwarding=frozenset({4}),
    last=True,
)


def names(plan) -> list[str]:
    return [step.name for step in plan]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (RIGHT, []),
        (replace(RIGHT, forwarding=frozenset()), ["allow-forwarding"]),
        (replace(RIGHT, rules=present(*DIALECT.host)), ["install-rules"]),
        (replace(RIGHT, rules=present(*OF_WEB)), ["restore-rules"]),
        (replace(RIGHT, rules=present(), firewall=""), ["install-rules"]),
        (replace(RIGHT, firewall="nftables"), ["restore-rules"]),
        (replace(RIGHT, bridge=None), ["create-bridge", "set-bridge-sysctls", "set-gateway"]),
        (replace(RIGHT, bridge=replace(BRIDGE, alias="")), ["configure-bridge"]),
        (replace(RIGHT, bridge=replace(BRIDGE, up=False)), ["set-gateway"]),
        (replace(RIGHT, bridge=replace(BRIDGE, addresses=())), ["set-gateway"]),
        (replace(RIGHT, bridge=replace(BRIDGE, sysctls=bridge.sysctls("mini-web", ipv6=True))), ["set-bridge-sysctls"]),
    ],
)
def test_repair(seen, wanted):
    assert names(plan_repair(RECORD, seen)) == wanted
    assert names(plan_present(NetworkSpec("web"), (), seen)) == wanted


@pytest.mark.parametrize(
    ("fields", "wanted", "impact"),
    [
        ({}, [], Impact.LIVE),
        ({"labels": {"a": "1"}}, ["write-network"], Impact.LIVE),
        ({"internal": True}, ["write-network", "install-rules"], Impact.LIVE),
        ({"mtu": 1400}, ["write-network", "configure-bridge"], Impact.LIVE),
        (
            {"ipam_config": one("10.1.0.0/24", "10.1.0.9")},
            ["write-network", "set-gateway", "sort-leases"],
            Impact.LIVE,
        ),
        (
            {"ipam_config": one("10.2.0.0/24")},
            ["write-network", "install-rules", "set-gateway", "sort-leases"],
            Impact.LIVE,
        ),
    ],
)
def test_changes(fields, wanted, impact):
    plan = plan_present(NetworkSpec("web", **fields), fields, RIGHT)
    assert names(plan) == wanted
    assert plan.impact == impact


def test_what_is_not_mentioned_is_kept():
    kept = replace(SPEC, internal=True, mtu=1400, labels={"a": "1"}, ipam_config=one("10.1.0.0/24", "10.1.0.254"))
    seen = replace(RIGHT, record=replace(RECORD, spec=kept))
    assert resolve(NetworkSpec("web"), (), seen) == kept
    for subnet, gateway in (("10.1.0.0/24", "10.1.0.254"), ("10.2.0.0/24", "10.2.0.1")):
        assert resolve(NetworkSpec("web", ipam_config=one(subnet)), (), seen).ipam_config == one(subnet, gateway)


def test_a_free_subnet_that_hides_no_name_server():
    seen = replace(NOTHING, taken={"10.213.0.0/24": "the network other"}, nameservers=("10.213.1.53",))
    assert resolve(NetworkSpec("web"), (), seen).subnet4 == "10.213.2.0/24"


def test_containers_are_not_moved_unasked():
    seen = replace(RIGHT, members={"c" * 64: ["10.1.0.2"], "d" * 64: ["10.1.0.3"]}, title=lambda name: name[:2])
    moved = NetworkSpec("web", ipam_config=one("10.2.0.0/24"))
    with pytest.raises(Conflict, match="containers are attached .cc, dd."):
        plan_present(moved, (), seen)
    plan = plan_present(moved, (), seen, force=True)
    assert names(plan)[0] == "disconnect-container"
    assert plan.impact == Impact.RECREATE
    taken = NetworkSpec("web", ipam_config=one("10.1.0.0/24", "10.1.0.3"))
    with pytest.raises(Conflict, match="take their addresses from the network web: containers are attached .dd."):
        plan_present(taken, (), seen)
    assert plan_present(NetworkSpec("web", internal=True), {"internal"}, seen)


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (NOTHING, []),
        (RIGHT, ["remove-rules", "delete-bridge", "give-back-forwarding", "remove-network"]),
        (replace(RIGHT, last=False), ["remove-rules", "delete-bridge", "remove-network"]),
        (replace(RIGHT, bridge=None, rules=present()), ["give-back-forwarding", "remove-network"]),
        (replace(RIGHT, record=None, corrupt=True, bridge=None, rules=present(), last=False), ["remove-network"]),
        (replace(NOTHING, bridge=BRIDGE), ["delete-bridge"]),
        (replace(NOTHING, bridge=replace(BRIDGE, alias="theirs")), []),
        (replace(NOTHING, bridge=replace(BRIDGE, alias="")), []),
        (replace(NOTHING, bridge=replace(BRIDGE, kind="dummy")), []),
    ],
)
def test_absent(seen, wanted):
    assert names(plan_absent(seen)) == wanted


def test_somebody_elses_bridge():
    with pytest.raises(Conflict, match="mini-web is taken by a dummy"):
        plan_present(SPEC, (), replace(NOTHING, bridge=replace(BRIDGE, kind="dummy")))


OPTIONS = {"driver": "bridge", **dict.fromkeys(NETWORK_OPTIONS.keys() - {"driver"}), "name": "web"}


def test_options():
    params = {**OPTIONS, "ipam_config": [{"subnet": "10.1.0.0/24", "gateway": "10.1.0.9"}], "labels": {"a": 1}}
    assert network_spec(params) == NetworkSpec("web", ipam_config=one("10.1.0.0/24", "10.1.0.9"), labels={"a": "1"})
    assert given(params) == {"labels"}
    assert given({**OPTIONS, "internal": False, "labels": {}}) == {"internal", "labels"}


def test_driver_options():
    asked = {MTU: 1400, NAME: "br-web", ICC: "no"}
    spec = network_spec({**OPTIONS, "driver_options": asked, "isolate": False})
    assert spec.driver_options == {MTU: "1400", NAME: "br-web", ICC: "false"}
    assert (spec.mtu, spec.isolate) == (1400, False)
    assert given({**OPTIONS, "driver_options": {MTU: 1400}}) == {"mtu", "driver_options"}


def test_both_families():
    spec = network_spec({**OPTIONS, "ipam_config": [{"subnet": "fd00::/64"}], "enable_ipv4": False})
    assert (spec.enable_ipv4, spec.enable_ipv6, spec.subnets) == (False, True, ("fd00::/64",))
    found = resolve(NetworkSpec("web", enable_ipv6=True), (), replace(NOTHING, mtu=1420, identity="host"))
    assert [entry.version for entry in found.ipam_config] == [4, 6]
    assert found.mtu == 1420, "that of the way out"
    only = resolve(NetworkSpec("web", enable_ipv4=False, enable_ipv6=True), (), NOTHING)
    assert [entry.version for entry in only.ipam_config] == [6]


@pytest.mark.parametrize(
    ("fields", "seen", "error", "why"),
    [
        ({"enable_ipv4": False}, NOTHING, BadInput, "would have no addresses"),
        ({"enable_ipv6": True, "mtu": 1000}, NOTHING, BadInput, "mtu: 1000 is too small for IPv6"),
        ({"enable_ipv6": True}, replace(NOTHING, ipv6=False), HostLacks, "this host's kernel has none"),
        (
            {"driver_options": {HOST_BINDING: "192.0.2.9"}},
            replace(NOTHING, not_local="192.0.2.9"),
            BadInput,
            "192.0.2.9 is not an address of this host",
        ),
        ({"driver_options": {NAME: "br0"}}, RIGHT, Conflict, "has the bridge mini-web, which cannot become br0"),
    ],
)
def test_networks_that_cannot_be(fields, seen, error, why):
    with pytest.raises(error, match=why):
        plan_present(NetworkSpec("web", **fields), fields, seen)


@pytest.mark.parametrize("name", ["default", "host", "none"])
def test_names_that_are_modes(name):
    with pytest.raises(BadInput, match=f"the name {name} is no network's"):
        plan_present(NetworkSpec(name), (), replace(NOTHING, name=name))
    there = replace(RIGHT, name=name, record=replace(RECORD, spec=replace(SPEC, name=name)))
    assert (
        plan_present(NetworkSpec(name), (), there).describe() == plan_present(NetworkSpec("web"), (), RIGHT).describe()
    )


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"enable_ipv6": False, "subnet": "fd00::/64"}, "enable_ipv6: false, but fd00::/64 is given"),
        ({"driver_options": {"com.docker.network.bridge.nice": 1}}, "is not known here"),
        ({"driver_options": {MTU: "large"}}, "is not a number"),
        ({"driver_options": {MTU: 1400}, "mtu": 1300}, "mtu: 1300, but com.docker.network.driver.mtu is 1400"),
        ({"driver_options": {NAME: "a/b"}}, "cannot be the name of an interface"),
        ({"driver_options": {NAME: "all"}}, "cannot be the name of an interface"),
        ({"driver_options": {ICC: "perhaps"}}, "is neither true nor false"),
        ({"driver_options": {HOST_BINDING: "::1"}}, "'::1' is not an IPv4 address"),
        ({"driver_options": {GATEWAY_MODES[6]: "open"}}, "give nat, nat-unprotected, routed or isolated"),
        ({"gateway": "10.1.0.1"}, "without a subnet"),
        ({"mtu": 10}, "mtu: 10 is not possible"),
        ({"ipam_config": [{"subnet": "10.1.0.0/16"}, {"subnet": "10.1.2.0/24"}]}, "overlaps 10.1.2.0/24 of the same"),
        ({"name": "../x"}, "is not a network name"),
        ({"name": "-j"}, "is not a network name"),
        ({"name": "a\nb"}, "is not a network name"),
        ({"name": "n" * 300}, "is not a network name"),
    ],
)
def test_malformed_options(params, why):
    with pytest.raises(BadInput, match=why):
        network_spec({**OPTIONS, **params})


def test_a_record_of_the_first_schema():
    raw = b"""{"schema": 1, "id": "1", "bridge": "mini-web", "created": "2030-01-01T00:00:00Z", "spec": {
        "name": "web", "driver": "bridge", "subnet": "10.1.0.0/24", "gateway": "10.1.0.1", "internal": true,
        "mtu": 1400, "labels": {"a": "1"}}}"""
    spec = decode(NetworkRecord, raw, "record.json").spec
    assert spec == replace(SPEC, internal=True, mtu=1400, labels={"a": "1"})
    record = NetworkRecord("1", spec, "mini-web", "")
    assert decode(NetworkRecord, encode(record), "record.json") == record
