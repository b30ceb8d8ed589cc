# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and their containers, from the network's side: who is connected, and what a change of the network does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, Subnet
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import converge as networks
from ansible_collections.mini.containers.plugins.module_utils.glue.members import bring_members, check_members
from ansible_collections.mini.containers.plugins.modules import mini_network


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


def module(host: Any, *, check: bool = False, **options: Any) -> list[str]:
    """What `mini_network` does, as it says it with `--diff`; in check mode, would do."""
    checked = ArgumentSpecValidator(mini_network.ARGUMENT_SPEC).validate({"name": "lan", **options})
    assert not checked.error_messages
    ansible = SimpleNamespace(params=checked.validated_parameters, check_mode=check, _diff=True, warn=print)
    return str(mini_network.work(ansible, host.paths).get("diff", {}).get("prepared", "")).splitlines()


@pytest.fixture
def three(lan: Any) -> Iterator[Any]:
    """One that publishes, with another network behind this one; one that knows its gateway; one that does not run."""
    lan.network("wan", "10.77.2.0/24")
    first = [{"name": "lan", "ipv4_address": "10.77.1.200"}, {"name": "wan"}]
    lan.container("a", networks=first, published_ports=["8080:80"])
    lan.container("b", networks=[{"name": "lan"}], published_ports=["8081:80"], etc_hosts={"gate": "host-gateway"})
    lan.container("c", networks=[{"name": "lan"}], state="present")
    yield lan
    lan.absent("a", "b", "c")
    lan.no_network("wan")


V6 = {"subnet": "fd00:77::/64"}
CHANGES: dict[str, dict[str, Any]] = {
    "other-addresses": {"ipam_config": [{"subnet": "10.78.0.0/24"}, V6]},
    "some-lose-theirs": {"ipam_config": [{"subnet": "10.77.1.0/25"}, V6]},
    "another-gateway": {"ipam_config": [{"subnet": "10.77.1.0/24", "gateway": "10.77.1.254"}, V6]},
    "another-mtu": {"mtu": 1400},
    "internal": {"internal": True},
    "apart": {"driver_options": {"com.docker.network.bridge.enable_icc": "false"}},
    "one-family": {"enable_ipv6": False},
    "members": {"connected": ["c"]},
    "both": {"ipam_config": [{"subnet": "10.78.0.0/24"}, V6], "connected": ["a", "b"]},
    "nothing": {},
    "absent": {"state": "absent"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_check_mode_says_what_is_done(three: Any, change: str) -> None:
    """Step for step, of the network and of its containers; and then there is nothing left to do."""
    options = {"force": True, **CHANGES[change]}
    foreseen = module(three, check=True, **options)
    assert foreseen == module(three, **options)
    assert bool(foreseen) == (change != "nothing")
    assert not module(three, **options)
    assert not module(three, check=True, **options)
    for name, state in (("a", "started"), ("b", "started"), ("c", "present")):
        assert not three.container(name, state=state).plan


@pytest.mark.parametrize("change", ["some-lose-theirs", "absent"])
def test_check_mode_of_a_network_that_somebody_has_damaged(three: Any, change: str) -> None:
    options = {"force": True, **CHANGES[change]}
    subprocess.run("nft flush ruleset; ip link del $(ip -br link show type bridge | head -1 | cut -d' ' -f1)",
                   shell=True, check=True)  # fmt: skip
    assert module(three, check=True, **options) == module(three, **options)
    assert not module(three, **options)


def test_check_mode_of_a_network_that_is_to_come(three: Any) -> None:
    options = {"name": "new", "subnet": "10.79.0.0/24", "connected": ["a", "c"]}
    assert module(three, check=True, **options) == module(three, **options)
    assert not module(three, **options)
    module(three, name="new", state="absent", force=True)


def test_who_was_in_a_network_that_is_gone(three: Any) -> None:
    """They run on, and what they have published rests until they are in a network again."""
    pids = [three.pid(name) for name in "ab"]
    module(three, state="absent", force=True)
    assert [three.pid(name) for name in "ab"] == pids
    assert "eth" not in addresses(three, "b")
    assert [three.record(name).networks.keys() for name in "abc"] == [{"wan"}, set(), set()]
    rules = subprocess.run(["nft", "list", "table", "inet", "mini"], check=True, capture_output=True, text=True).stdout
    assert three.record("a").networks["wan"].ipv4 + " . 80" in rules, "where it is still in one, it publishes"
    assert "8081" not in rules
    for options in ({}, {"restart": True}, {"state": "stopped"}, {"hostname": "again"}, {"memory": "64M"}):
        three.container("b", **options)
        assert not three.container("b", **{**options, "restart": False}).plan
    with pytest.raises(BadInput, match="b publishes ports but is in no network"):
        three.container("b", published_ports=["8081:80"])
    module(three, subnet="10.77.3.0/24", connected=["b"])
    assert "10.77.3.2" in addresses(three, "b")
    rules = subprocess.run(["nft", "list", "table", "inet", "mini"], check=True, capture_output=True, text=True).stdout
    assert "8081" in rules
