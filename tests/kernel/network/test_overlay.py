# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's kernel is told of other hosts, over IPv4 and IPv6: complete, put right, and gone again."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Vxlan
from ansible_collections.mini.containers.plugins.module_utils.network import overlay, slices
from ansible_collections.mini.containers.plugins.module_utils.network.overlay import Overlay
from ansible_collections.mini.containers.plugins.module_utils.network.rtnl import Rtnl

from .conftest import own_namespaces, sh

UNDERLAY = {4: "192.0.2.{}", 6: "2001:db8::{}"}


@pytest.fixture(params=[4, 6])
def wanted(request):
    """The device of the first of three hosts, in a namespace that has its addresses."""
    hosts = {f"h{number}": UNDERLAY[request.param].format(number) for number in (1, 2, 3)}
    vxlan = Vxlan("h1", hosts, ("10.50.0.0/16", "fd00:50::/64"), 256, 77)
    own = slices.slices_of(vxlan, "h1")
    with own_namespaces():
        sh("ip link set lo up")
        for part in own:
            sh(f"ip address add {part.gateway}/{part.subnet.partition('/')[2]} dev lo nodad")
        gateways = tuple(part.gateway for part in own)
        found = Overlay("vx-test", "mini:test", 77, 4789, hosts["h1"], gateways, vxlan.subnets, 1430)
        yield dataclasses.replace(found, peers=tuple(slices.peers(vxlan)))
        overlay.delete("vx-test", "mini:test")
        assert sh("ip link show type vxlan; ip route show proto static; ip -6 route show proto static") == ""


def seen() -> overlay.OverlayState:
    with Rtnl() as host:
        state = overlay.observe(host, "vx-test")
    assert state is not None
    return state


def complete(wanted: Overlay) -> bool:
    state = seen()
    return overlay.is_right(state, wanted) and state.entries == wanted.entries


def test_all_of_it(wanted):
    overlay.create(wanted)
    assert overlay.is_right(seen(), wanted)
    overlay.set_entries(wanted)
    assert complete(wanted)
    assert "00:00:00:00:00:00" not in sh("bridge fdb show dev vx-test"), "nothing is flooded"
    overlay.create(wanted)
    overlay.set_entries(wanted)
    assert complete(wanted)


def test_what_was_changed_is_put_right(wanted):
    overlay.create(wanted)
    overlay.set_entries(wanted)
    far = wanted.peers[0]
    mac = overlay.mac_of(far.slices[0].gateway)
    sh(f"ip route del {far.slices[0].subnet} && ip -6 route del unreachable fd00:50::/64 metric 77")
    sh(f"ip neigh replace {far.slices[1].gateway} lladdr 02:00:00:00:00:99 nud permanent dev vx-test")
    sh(f"bridge fdb append {mac} dev vx-test dst {wanted.peers[1].address} self permanent")
    assert not complete(wanted)
    overlay.set_entries(wanted)
    assert complete(wanted)


def test_a_peer_fewer_and_another_address(wanted):
    overlay.create(wanted)
    overlay.set_entries(wanted)
    moved = wanted.peers[1]._replace(address=wanted.peers[1].address[:-1] + "9")
    fewer = dataclasses.replace(wanted, peers=(moved,))
    overlay.set_entries(fewer)
    assert complete(fewer)


def test_another_end_is_another_device(wanted):
    overlay.create(dataclasses.replace(wanted, port=4790))
    overlay.create(wanted)
    assert overlay.is_right(seen(), wanted)


def test_a_number_and_a_name_that_others_have(wanted):
    overlay.create(wanted)
    with pytest.raises(Conflict, match="the number 77"):
        overlay.create(dataclasses.replace(wanted, name="vx-other"))
    with pytest.raises(Conflict, match="is taken by a vxlan"):
        overlay.create(dataclasses.replace(wanted, alias="mini:another"))
