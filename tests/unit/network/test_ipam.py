# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases, in a directory of the test's own."""

from __future__ import annotations

import os

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.network import ipam


@pytest.fixture
def pool(tmp_path):
    return ipam.Pool("web", "10.1.0.0/29", "10.1.0.1", str(tmp_path / "lease"), str(tmp_path / "cursor"))


def always(_container_id, _ip):
    return True


def take(pool, container_id, wanted="", alive=always):
    return ipam.take(pool, container_id, wanted, alive)


def test_all_but_the_reserved(pool):
    assert [take(pool, f"c{number}") for number in range(5)] == [f"10.1.0.{number}" for number in range(2, 7)]
    with pytest.raises(Conflict, match=r"the network web has no free address left in 10\.1\.0\.0/29; remove"):
        take(pool, "late")


def test_asked_again(pool):
    assert take(pool, "a") == take(pool, "a") == "10.1.0.2"
    assert take(pool, "a", "10.1.0.5") == "10.1.0.5", "another one is wanted: the first is given back"
    assert ipam.leases(pool.directory) == {"10.1.0.5": "a"}


def test_a_freed_address_is_given_last(pool):
    for name in "abc":
        take(pool, name)
    ipam.give_back(pool, "b")
    assert [take(pool, name) for name in "def"] == ["10.1.0.5", "10.1.0.6", "10.1.0.3"]


def test_giving_back_twice(pool):
    take(pool, "a")
    ipam.give_back(pool, "a")
    ipam.give_back(pool, "a")
    ipam.give_back(pool, "never")
    assert os.listdir(pool.directory) == []


def test_orphans_are_swept_when_needed(pool):
    for number in range(5):
        take(pool, f"c{number}")
    assert take(pool, "new", alive=lambda owner, _ip: owner != "c3") == "10.1.0.5"
    assert pool.owner("10.1.0.5") == "new"
    assert pool.held_by("c3") == ""
    ipam.give_back(pool, "c3")
    assert pool.owner("10.1.0.5") == "new"


def test_static_addresses(pool):
    assert take(pool, "a", "10.1.0.3") == "10.1.0.3"
    assert [take(pool, "b"), take(pool, "c")] == ["10.1.0.2", "10.1.0.4"], "the static one is passed over"
    with pytest.raises(Conflict, match=r"10\.1\.0\.3 in the network web is taken by the container a"):
        take(pool, "d", "10.1.0.3")
    assert take(pool, "d", "10.1.0.3", alive=lambda owner, _ip: owner != "a") == "10.1.0.3"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("10.2.0.1", r"outside of the network web \(10\.1\.0\.0/29\)"),
        ("10.1.0.0", "reserved"),
        ("10.1.0.1", "reserved"),
        ("10.1.0.7", "reserved"),
        ("web", "is not an IPv4 address"),
        ("10.1.0.02", "is not an IPv4 address"),
        ("../../etc", "is not an IPv4 address"),
    ],
)
def test_addresses_that_cannot_be_had(pool, wanted, why):
    with pytest.raises(BadInput, match=why):
        take(pool, "a", wanted)
    assert not os.path.exists(pool.directory)


@pytest.mark.parametrize("cut", range(4))
def test_killed_between_any_two_writes(pool, monkeypatch, cut):
    """The address is neither lost nor given twice."""

    class Killed(BaseException):
        pass

    real, calls = os.symlink, []

    def symlink(source, target):
        if len(calls) == cut:
            raise Killed
        calls.append(target)
        real(source, target)

    monkeypatch.setattr(os, "symlink", symlink)
    with pytest.raises(Killed):
        [take(pool, name) for name in ("a", "b")]
    monkeypatch.undo()
    given = [take(pool, name) for name in ("a", "b", "c", "d", "e")]
    assert sorted(given) == [f"10.1.0.{number}" for number in range(2, 7)]


def test_a_cursor_that_makes_no_sense(pool):
    os.symlink("nonsense", pool.cursor)
    assert take(pool, "a") == "10.1.0.2"
