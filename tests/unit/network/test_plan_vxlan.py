# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of networks over many hosts, by tables."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, Subnet, Vxlan
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.overlay import overlay_of
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.plan import plan_present, resolve
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import NetworkRecord
from ansible_collections.mini.containers.plugins.module_utils.network.overlay import OverlayState

HOSTS = {"h1": "192.0.2.11", "h2": "192.0.2.12"}
VXLAN = Vxlan("h1", HOSTS, ("10.50.0.0/16",), 256, 77)
SPEC = NetworkSpec("mesh", "vxlan", (Subnet("10.50.11.0/24", gateway="10.50.11.1"),), mtu=1450, vxlan=VXLAN)


def span(**changes):
    """A network over two hosts as it is, and nothing wrong with it."""
    device = overlay_of(SPEC, "mini-mesh", "mini:mesh")
    state = OverlayState(9, device.alias, "vxlan", device.mac, 1450, True, device.ends, device.ipv6, device.entries)
    record = NetworkRecord("1", SPEC, "mini-mesh", "2030-01-01T00:00:00Z")
    fields = {"record": record, "directory": True, "overlay": state, "underlay": 1500, **changes}
    return Observation("mesh", "mini-mesh", "mini:mesh", **fields)


def span_steps(seen, wanted=SPEC, given=("vxlan",), **more):
    """The steps that only a network over many hosts has."""
    plan = plan_present(wanted, given, seen, **more)
    own = ("create-vxlan", "configure-vxlan", "set-peers", "write-names")
    return [step.describe() for step in plan if step.name in own]


def test_nothing_to_do_for_the_other_hosts():
    assert span_steps(span()) == []
    assert span_steps(span(), dataclasses.replace(SPEC, vxlan=None, ipam_config=()), ()) == []


def test_what_is_put_right():
    seen = span()
    name = overlay_of(SPEC, "mini-mesh", "").name
    lost = dataclasses.replace(seen.overlay, entries=frozenset(sorted(seen.overlay.entries)[1:]))
    assert span_steps(span(overlay=lost)) == [f"set-peers {name}: 1 missing"]
    assert span_steps(span(overlay=None)) == [f"create-vxlan {name}", f"set-peers {name}"]
    assert span_steps(span(overlay=dataclasses.replace(seen.overlay, up=False))) == [f"configure-vxlan {name}"]
    moved = dataclasses.replace(seen.overlay, ends=(77, 4789, "192.0.2.99"))
    assert span_steps(span(overlay=moved)) == [f"create-vxlan {name}", f"set-peers {name}"]


def test_another_host():
    more = dataclasses.replace(VXLAN, hosts={**HOSTS, "h3": "192.0.2.13"})
    plan = plan_present(dataclasses.replace(SPEC, vxlan=more), ("vxlan",), span())
    shown = plan.describe()
    assert "write-network mesh: hosts +h3" in shown
    assert any(line.endswith("3 missing") for line in shown)


def test_names_of_other_hosts():
    known = {"h2": {"web": ("10.50.12.2",)}}
    assert span_steps(span(), names=known) == ["write-names mesh: of containers on h2"]
    assert span_steps(span(names=known), names=known) == []
    assert span_steps(span(names=known)) == [], "what is not mentioned stays"
    assert span_steps(span(names={"gone": {"web": ("10.50.99.2",)}})) == ["write-names mesh: of containers on gone"]
    assert span_steps(span(), names={"h1": {"own": ("10.50.11.2",)}}) == []


def test_the_largest_packet():
    assert resolve(SPEC, ("vxlan",), span(underlay=9000)).mtu == 8950
    v6 = dataclasses.replace(SPEC, vxlan=dataclasses.replace(VXLAN, hosts={"h1": "2001:db8::b"}))
    assert resolve(v6, ("vxlan",), span()).mtu == 1430
    assert resolve(dataclasses.replace(SPEC, mtu=1400), ("vxlan", "mtu"), span()).mtu == 1400
    with pytest.raises(BadInput, match="1451 does not fit"):
        resolve(dataclasses.replace(SPEC, mtu=1451), ("vxlan", "mtu"), span())
    with pytest.raises(Conflict, match="does not have the address"):
        resolve(SPEC, ("vxlan",), span(underlay=0))


def test_drivers_do_not_change():
    with pytest.raises(Conflict, match="has the driver vxlan"):
        plan_present(NetworkSpec("mesh"), (), span())
    with pytest.raises(BadInput, match="needs to be told its hosts"):
        plan_present(NetworkSpec("new", "vxlan"), (), Observation("new", "mini-new", "mini:new"))
