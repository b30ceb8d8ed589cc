# SPDX-License-Identifier: GPL-3.0-or-later
"""A network over many hosts whose task is killed at any step: the next one converges, and nothing is left of it."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mini.containers.plugins.module_utils.core.errors import HostLacks
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.far import far_names
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.overlay import device_name
from ansible_collections.mini.containers.plugins.module_utils.glue.network import NETWORK_OPTIONS, given, network_spec
from ansible_collections.mini.containers.plugins.module_utils.network import rtnl
from ansible_collections.mini.containers.plugins.modules import mini_network

from .conftest import HOST_LAN, NEIGHBOUR_LAN, sh
from .test_network_life import killed, names, one_backend

TWO = {"h1": HOST_LAN, "h2": NEIGHBOUR_LAN}
THREE = {**TWO, "h3": "192.0.2.3"}
CREATED = ["write-network", "install-rules", "create-bridge", "set-bridge-sysctls", "set-gateway"]
CREATED += ["create-vxlan", "set-peers", "allow-forwarding"]
REMOVED = ["remove-rules", "delete-vxlan", "delete-bridge", "give-back-forwarding", "remove-network"]


def span(lab, hosts, **more):
    """The task of one of the hosts."""
    params = {name: option.get("default") for name, option in NETWORK_OPTIONS.items()}
    ipam = [{"subnet": "10.50.0.0/16"}, {"subnet": "fd00:50::/64"}]
    vxlan = {"hosts": hosts, "host": "h1", "slices": 256, "vni": None, "port": 4789}
    params.update(name="mesh", driver="vxlan", ipam_config=ipam, vxlan=vxlan)
    return ensure(lab.paths, network_spec(params), given(params), firewall=lab.firewall, **more)


def assert_complete(lab, hosts) -> None:
    """There is nothing to do, and all peers have entries."""
    assert names(span(lab, hosts)) == []
    device = device_name(attach.load(lab.paths, "mesh").bridge)
    entries = sh(f"bridge fdb show dev {device}")
    assert {address for address in THREE.values() if f"dst {address} " in entries} == set(hosts.values()) - {HOST_LAN}


@one_backend
def test_the_steps_of_its_life(lab):
    """What is killed below is all there is."""
    assert list(dict.fromkeys(names(span(lab, TWO)))) == CREATED
    assert names(span(lab, THREE)) == ["write-network", "install-rules", "set-peers"]
    assert names(remove(lab.paths, "mesh")) == REMOVED


@one_backend
@pytest.mark.parametrize("step", CREATED)
@pytest.mark.parametrize("event", ["begin", "done"])
def test_killed_while_creating(lab, step, event):
    killed(lambda observer: span(lab, TWO, observer=observer), step, event)
    span(lab, TWO)
    assert_complete(lab, TWO)


@one_backend
@pytest.mark.parametrize("step", CREATED)
def test_killed_while_creating_then_removed(lab, step):
    before = lab.snapshot()
    killed(lambda observer: span(lab, TWO, observer=observer), step, "done")
    remove(lab.paths, "mesh")
    assert lab.snapshot() == before


@one_backend
@pytest.mark.parametrize("step", ["write-network", "install-rules", "set-peers"])
@pytest.mark.parametrize(("old", "new"), [(TWO, THREE), (THREE, TWO)], ids=["more", "fewer"])
def test_killed_while_hosts_come_and_go(lab, step, old, new):
    span(lab, old)
    killed(lambda observer: span(lab, new, observer=observer), step, "done")
    span(lab, new)
    assert_complete(lab, new)


@one_backend
@pytest.mark.parametrize("step", REMOVED)
@pytest.mark.parametrize("again", ["present", "absent"])
def test_killed_while_removing(lab, step, again):
    before = lab.snapshot()
    span(lab, TWO)
    killed(lambda observer: remove(lab.paths, "mesh", observer=observer), step, "done")
    if again == "present":
        span(lab, TWO)
        assert_complete(lab, TWO)
    remove(lab.paths, "mesh")
    assert lab.snapshot() == before


@one_backend
def test_a_kernel_without_vxlan(lab, monkeypatch):
    """The kernel answers so when it has neither the driver nor a module of it."""

    def refuse(*_arguments):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    before = lab.snapshot()
    monkeypatch.setattr(rtnl, "create_vxlan", refuse)
    with pytest.raises(HostLacks, match="this kernel has no VXLAN devices"):
        span(lab, TWO)
    assert lab.snapshot() == before


@one_backend
def test_a_fellow_host_that_says_something_wrong(lab):
    """The task says so, and takes the rest, of this host and of the others."""
    span(lab, THREE)
    warnings: list[str] = []
    told = {"h2": {"web": "10.50.2.2", "bank": "10.50.1.1"}, "h3": {"api": "10.50.3.2", "no name": "10.50.3.3"}}
    result = mini_network_task(lab, warnings, name="mesh", driver="vxlan", names=told)
    assert result["actions"] == ["write-names"]
    assert far_names(lab.paths, "mesh") == {"h2": {"web": ("10.50.2.2",)}, "h3": {"api": ("10.50.3.2",)}}
    assert ["10.50.1.1 of bank is not in its slice" in warnings[0], "'no name'" in warnings[1]] == [True, True]
    assert not mini_network_task(lab, warnings, name="mesh", driver="vxlan", names=told)["changed"]


def mini_network_task(lab, warnings, **options):
    """The module's work, without Ansible around it."""
    checked = ArgumentSpecValidator(mini_network.ARGUMENT_SPEC).validate(options)
    params = {**checked.validated_parameters, "firewall_driver": lab.firewall}
    module = SimpleNamespace(params=params, check_mode=False, _diff=False, warn=warnings.append)
    return mini_network.work(module, lab.paths)
