# SPDX-License-Identifier: GPL-3.0-or-later
"""No two containers of a network have one MAC address; said before anything is touched."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.converge import converge_all
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import Wish
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import id_of
from ansible_collections.mini.containers.plugins.module_utils.glue.container import wish

from .conftest import DEFAULTS
from .forking import in_a_process

MAC, OTHER = "02:aa:00:00:00:01", "02:aa:00:00:00:02"


def there(mac: str, network: str = "lan") -> list[dict[str, str]]:
    return [{"name": network, "mac_address": mac}]


def wish_for(name: str, **options: Any) -> Wish:
    return wish({**DEFAULTS, "name": name, "image": "box", "command": "sleep 1000", "stop_timeout": 0, **options})


@pytest.fixture
def lan(host: Any) -> Any:
    host.network("lan", "10.77.1.0/24")
    host.network("wan", "10.77.2.0/24")
    yield host
    host.absent("a", "b")
    host.no_network("lan", "wan")


def test_the_other_one_is_named_and_nothing_is_touched(lan: Any) -> None:
    lan.container("a", networks=there(MAC), state="present")
    with pytest.raises(Conflict, match=f"cannot connect b to lan: the container a has the MAC address {MAC} there"):
        lan.container("b", networks=there(MAC))
    assert id_of(lan.paths, "b") is None
    lan.container("b", networks=[*there(MAC, "wan"), *there(OTHER)])
    before = lan.record("b")
    with pytest.raises(Conflict, match="the container b has the MAC address"):
        lan.container("a", networks=there(OTHER))
    with pytest.raises(Conflict, match="the container a has the MAC address"):
        lan.container("b", networks=there(MAC), check=True)
    with pytest.raises(Conflict, match="the container a has the MAC address"):
        lan.container("b", networks=there(MAC), hostname="another", recreate=True)
    assert lan.record("b") == before


def test_its_own_stays_with_a_container(lan: Any) -> None:
    """Through a restart, a replacement at the same address and at another, and a replacement that fails."""
    lan.container("a", networks=there(MAC))
    assert not lan.container("a", networks=there(MAC)).plan
    lan.container("a", networks=there(MAC), restart=True)
    lan.container("a", networks=there(MAC), hostname="anew")
    moved = [{"name": "lan", "mac_address": MAC, "ipv4_address": "10.77.1.9"}]
    lan.container("a", networks=moved, hostname="again")
    with pytest.raises(Exception, match="nothing-of-the-kind"):
        lan.container("a", networks=moved, command="nothing-of-the-kind")
    assert MAC.encode() in lan.exec("a", "ip", "link", "show", "eth0").stdout
    lan.container("a", networks=there(OTHER))
    lan.container("b", networks=there(MAC))
    assert MAC.encode() in lan.exec("b", "ip", "link", "show", "eth0").stdout


def test_in_one_task(lan: Any) -> None:
    """Neither is made; and who goes in the same task gives his back first."""
    twice = [wish_for(name, networks=there(MAC)) for name in "ab"]
    for check in (True, False):
        failed = [outcome.error for outcome in converge_all(lan.paths, twice, check=check)]
        assert "the container a has the MAC address" in str(failed[1])
        assert id_of(lan.paths, "a") is None
    lan.container("a", networks=there(MAC))
    lan._look()
    done = converge_all(lan.paths, [wish_for("b", networks=there(MAC)), Wish(ContainerSpec("a"), "absent")])
    assert [outcome.error for outcome in done] == [None, None]


def test_at_the_same_time(lan: Any) -> None:
    """Two tasks that saw nobody: one of them is taken back."""
    children = [in_a_process(lambda name=name: lan.container(name, networks=there(MAC))) for name in "ab"]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    lan._look()
    assert sorted(codes) == [0, 1]
    assert sorted(id_of(lan.paths, name) is None for name in "ab") == [False, True]


def test_those_that_are_made_from_addresses_are_their_own(lan: Any) -> None:
    with pytest.raises(BadInput, match="02:6d:0a:4d:01:03 is one of those that are made from IP addresses"):
        lan.container("a", networks=there("02:6d:0a:4d:01:03"))
    lan.container("a", networks=[{"name": "lan", "mac_address": "02:6d:0a:4d:01:03", "ipv4_address": "10.77.1.3"}])
