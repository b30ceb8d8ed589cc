# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and their containers, from the network's side: who is connected, and what a change of the network does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Conflict, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.specs import NetworkSpec, Subnet
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import converge as networks
from ansible_collections.mini.containers.plugins.module_utils.glue.members import bring_members, check_members


@pytest.fixture
def lan(host: Any) -> Iterator[Any]:
    host.network("lan", "10.77.1.0/24", "fd00:77::/64")
    yield host
    host.absent("a", "b", "c")
    host.no_network("lan")


def task(host: Any, *subnets: str, connected: Any = None, appends: bool = False, **options: Any) -> list[str]:
    """What the task `mini_network` does, with `connected`."""
    params = {"connected": connected, "appends": appends}
    spec = NetworkSpec("lan", ipam_config=tuple(map(Subnet, subnets)), enable_ipv6=True)
    check = options.get("check", False)
    check_members(host.paths, params, check=check)
    outcome = networks.ensure(host.paths, spec, (), **options)
    outcome = bring_members(host.paths, "lan", params, outcome, check=check)
    return [step.name for step in outcome.plan]


def addresses(host: Any, name: str) -> str:
    return str(host.exec(name, "busybox", "ip", "addr").stdout.decode())


def test_connected_is_the_whole_truth(lan: Any) -> None:
    for name in "abc":
        lan.container(name, networks=[{"name": "lan"}] if name == "a" else [])
    pids = [lan.pid(name) for name in "abc"]
    assert "connect" in task(lan, connected=["b"], appends=True)
    assert "10.77.1.2" in addresses(lan, "a")
    assert "fd00:77::3" in addresses(lan, "b")
    assert lan.exec("a", "grep", "fd00:77::3", "/etc/hosts").rc == 0
    assert task(lan, connected=["b"], appends=True, check=True) == []
    assert "disconnect" in task(lan, connected=["b", "c"], check=True)
    task(lan, connected=["b", "c"])
    assert task(lan, connected=["b", lan.record("c").id]) == []
    assert "eth0" not in addresses(lan, "a")
    assert lan.exec("b", "grep", "10.77.1.2", "/etc/hosts").rc != 0
    with pytest.raises(NotFound, match="the container 'nobody' of connected does not exist"):
        task(lan, connected=["b", "nobody"])
    task(lan, connected=[])
    assert not any("eth0" in addresses(lan, name) for name in "abc")
    assert [lan.pid(name) for name in "abc"] == pids


def test_who_loses_an_address_gets_another(lan: Any) -> None:
    """The others keep theirs."""
    lan.container("a", networks=[{"name": "lan", "ipv6_address": "fd00:77::a"}])
    lan.container("b", networks=[{"name": "lan"}], published_ports=["8080:80"])
    lan.container("c", networks=[{"name": "lan"}], state="present")
    pids = [lan.pid(name) for name in "ab"]
    with pytest.raises(Conflict, match=r"cannot take their addresses.*containers are attached \(a, b, c\); give force"):
        task(lan, "10.78.0.0/24")
    task(lan, "10.78.0.0/24", force=True)
    assert {"10.78.0", "fd00:77::a"} <= {lan.record("a").networks["lan"].ipv4[:7], lan.record("a").networks["lan"].ipv6}
    for name in "ab":
        assert lan.record(name).networks["lan"].ipv4 in addresses(lan, name)
        assert "10.77.1" not in addresses(lan, name)
    assert lan.exec("a", "grep", lan.record("b").networks["lan"].ipv4, "/etc/hosts").rc == 0
    assert not [name for name in "abc" if lan.container(name, **({"state": "present"} if name == "c" else {})).plan]
    assert [lan.pid(name) for name in "ab"] == pids


def test_another_gateway_reaches_who_is_there(lan: Any) -> None:
    lan.container("a", networks=[{"name": "lan"}])
    spec = NetworkSpec("lan", ipam_config=(Subnet("10.77.1.0/24", gateway="10.77.1.254"),), enable_ipv6=True)
    outcome = networks.ensure(lan.paths, spec, ())
    bring_members(lan.paths, "lan", {"connected": None}, outcome, check=False)
    routes = lan.exec("a", "busybox", "ip", "route").stdout.decode()
    assert "default via 10.77.1.254" in routes
    assert not lan.container("a").plan


def test_a_change_cut_short_is_finished_by_the_containers_task(lan: Any) -> None:
    """The network has changed, and its task was killed before anybody was connected again."""
    lan.container("a", networks=[{"name": "lan"}], etc_hosts={"gate": "host-gateway"})
    pid = lan.pid("a")
    spec = NetworkSpec("lan", ipam_config=(Subnet("10.78.0.0/24"),), enable_ipv6=True)
    networks.ensure(lan.paths, spec, (), force=True)
    lan.container("a")
    assert not lan.container("a").plan
    assert lan.record("a").networks["lan"].ipv4.startswith("10.78.0.")
    assert lan.exec("a", "grep", "10.78.0.1.*gate", "/etc/hosts").rc == 0
    assert lan.pid("a") == pid
