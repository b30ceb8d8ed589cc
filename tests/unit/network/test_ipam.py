# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases, in a directory of the test's own."""

from __future__ import annotations

import contextlib
import ipaddress
import os

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import Subnet
from ansible_collections.mini.containers.plugins.module_utils.network import freemap, ipam
from ansible_collections.mini.containers.plugins.module_utils.network import leases as links


@pytest.fixture
def pool(tmp_path):
    return pool_of(tmp_path, Subnet("10.1.0.0/29", gateway="10.1.0.1"))


def pool_of(tmp_path, *subnets):
    return links.Pool("web", subnets, str(tmp_path / "lease"), str(tmp_path / "free"))


def always(_container_id, _ip):
    return True


def take(pool, container_id, wanted="", alive=always):
    (found,) = ipam.take(pool, container_id, [wanted], alive)
    return found


def test_all_but_the_reserved(pool):
    assert [take(pool, f"c{number}") for number in range(5)] == [f"10.1.0.{number}" for number in range(2, 7)]
    with pytest.raises(Conflict, match=r"the network web has no free address left in 10\.1\.0\.0/29; remove"):
        take(pool, "late")


def test_asked_again(pool):
    assert take(pool, "a") == take(pool, "a") == "10.1.0.2"
    assert take(pool, "a", "10.1.0.5") == "10.1.0.5", "another one is wanted: the first is given back"
    assert links.leases(pool.directory) == {"10.1.0.5": "a"}


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
    assert pool.held_by("c3") == ()
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
        ("fd00::2", "outside of the network web .it has no IPv6."),
        ("10.2.0.1", r"outside of the network web \(10\.1\.0\.0/29\)"),
        ("10.1.0.0", "reserved"),
        ("10.1.0.1", "reserved"),
        ("10.1.0.7", "reserved"),
        ("web", "is not an IP address"),
        ("fd00::2%eth0", "is not an IP address"),
        ("10.1.0.02", "is not an IP address"),
        ("../../etc", "is not an IP address"),
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


@pytest.mark.parametrize("cut", range(5))
def test_killed_between_any_two_changes_of_the_map(pool, monkeypatch, cut):
    """What it says is put right by the leases."""
    take(pool, "a")
    real, calls = os.pwrite, []

    def pwrite(*args):
        calls.append(args)
        if len(calls) > cut:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with contextlib.suppress(KeyboardInterrupt):
        take(pool, "b")
        ipam.give_back(pool, "a")
        take(pool, "c")
    monkeypatch.undo()
    there = {name: take(pool, name) for name in "abcde"}
    assert sorted(there.values()) == [f"10.1.0.{number}" for number in range(2, 7)]


def test_both_families_and_several_subnets(tmp_path):
    pool = pool_of(
        tmp_path,
        Subnet("10.1.0.0/30", gateway="10.1.0.1"),
        Subnet("10.2.0.0/30", gateway="10.2.0.1"),
        Subnet("fd00::/64", gateway="fd00::1"),
    )
    assert ipam.take(pool, "a", ["", "fd00::9"], always) == ("10.1.0.2", "fd00::9")
    assert ipam.take(pool, "b", [], always) == ("10.2.0.2", "fd00::2")
    before = links.leases(pool.directory)
    with pytest.raises(Conflict, match=r"no free address left in 10\.1\.0\.0/30, 10\.2\.0\.0/30"):
        ipam.take(pool, "c", [], always)
    with pytest.raises(Conflict, match="fd00::9 in the network web is taken by the container a"):
        ipam.take(pool, "b", ["", "fd00::9"], always)
    assert links.leases(pool.directory) == before, "all or nothing"
    assert links.holders(pool.directory) == ["a", "b"]
    ipam.give_back(pool, "b")
    assert ipam.take(pool, "c", ["", "fd00::2"], always) == ("10.2.0.2", "fd00::2")
    assert pool.held_by("c") == ("10.2.0.2", "fd00::2")


def test_a_family_that_comes_and_goes(tmp_path):
    four, six = Subnet("10.1.0.0/29", gateway="10.1.0.1"), Subnet("fd00::/64", gateway="fd00::1")
    assert ipam.take(pool_of(tmp_path, four), "a", [], always) == ("10.1.0.2",)
    both = pool_of(tmp_path, four, six)
    assert ipam.take(both, "a", [], always) == ("10.1.0.2", "fd00::2")
    assert ipam.take(pool_of(tmp_path, six), "a", [], always) == ("fd00::2",)
    assert links.leases(both.directory) == {"fd00::2": "a"}


def test_leases_of_the_first_version(pool):
    """No map, a cursor in a link, one address a container."""
    os.mkdir(pool.directory)
    for name, ip in (("a", "10.1.0.2"), ("b", "10.1.0.4")):
        os.symlink(name, os.path.join(pool.directory, ip))
        os.symlink(ip, os.path.join(pool.directory, name))
    assert [take(pool, name) for name in ("a", "b", "c")] == ["10.1.0.2", "10.1.0.4", "10.1.0.3"]


def test_from_the_range_alone(tmp_path):
    aux = {"printer": "10.1.0.10", "router": "10.1.0.13"}
    pool = pool_of(tmp_path, Subnet("10.1.0.0/24", "10.1.0.8/29", "10.1.0.9", aux))
    assert [take(pool, name) for name in "abcde"] == [f"10.1.0.{number}" for number in (8, 11, 12, 14, 15)]
    with pytest.raises(Conflict, match=r"left in 10\.1\.0\.8/29"):
        take(pool, "f")
    assert take(pool, "f", "10.1.0.77") == "10.1.0.77", "the rest of the subnet is for static ones"
    with pytest.raises(BadInput, match="reserved"):
        take(pool, "g", "10.1.0.10")


@pytest.mark.parametrize("damage", [b"", b"minimap\1", bytes(64), b"x" * 1048])
def test_a_damaged_map_is_made_of_the_leases(pool, damage):
    take(pool, "a")
    (path,) = (os.path.join(pool.maps, name) for name in os.listdir(pool.maps))
    with open(path, "wb") as handle:
        handle.write(damage)
    assert [take(pool, name) for name in "bcde"] == [f"10.1.0.{number}" for number in range(3, 7)]


def test_a_map_that_knows_of_no_lease(pool):
    """As after a power cut: the file is there, and empty pages with it."""
    for name in "abcde":
        take(pool, name)
    ipam.give_back(pool, "c")
    (path,) = (os.path.join(pool.maps, name) for name in os.listdir(pool.maps))
    freemap.rebuild(path, 8, ()).__exit__()
    assert take(pool, "f") == "10.1.0.4"


FULL = 60_000
BUDGET = 40


@pytest.mark.parametrize(
    ("subnet", "leases"),
    [
        ("10.1.0.0/24", 0),
        ("10.0.0.0/8", 0),
        ("fd00::/64", 0),
        ("10.1.0.0/16", FULL),
        ("fd00::/64", FULL),
        ("10.1.0.0/16", (1 << 16) - 4),  # two are left
    ],
)
def test_the_cost_of_an_address_is_always_the_same(tmp_path, monkeypatch, subnet, leases):
    """Counted in calls of the system and bytes read, not in time."""
    pool = pool_of(tmp_path, Subnet(subnet, gateway=str(ipaddress.ip_network(subnet)[1])))
    take(pool, "first")
    first = int(ipaddress.ip_network(subnet)[3])
    for place in range(leases - 1):
        os.symlink("owner", os.path.join(pool.directory, str(ipaddress.ip_address(first + place))))
    (name,) = os.listdir(pool.maps)
    size = ipaddress.ip_network(name.replace("-", "/")).num_addresses
    places = freemap.rebuild(os.path.join(pool.maps, name), size, range(2, 2 + leases), 100)
    places.__exit__()
    calls, bytes_read = [], []

    def counted(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            calls.append(name)
            found = real(*args, **kwargs)
            bytes_read.append(len(found) if name == "pread" else 0)
            return found

        return call

    for name in ("open", "readlink", "symlink", "unlink", "listdir", "pwrite", "pread"):
        monkeypatch.setattr(os, name, counted(name))
    given = take(pool, "new")
    monkeypatch.undo()
    assert given not in links.leases(pool.directory) or pool.owner(given) == "new"
    assert len(calls) <= BUDGET, calls
    assert sum(bytes_read) < 8192


def test_a_map_has_each_free_place_once(tmp_path):
    size = 3 * freemap.PAGE + 17
    taken = {0, 5, freemap.PAGE - 1, *range(freemap.PAGE, 2 * freemap.PAGE), size - 1}
    with freemap.rebuild(str(tmp_path / "map"), size, taken, 5) as places:
        order = list(places.each_free())
        assert sorted(order) == sorted(set(range(size)) - taken)
        assert order[0] == 6
        assert order[-1] == 4
        places.free(freemap.PAGE + 3)
        assert freemap.PAGE + 3 in set(places.each_free())
        places.take(freemap.PAGE + 3)
        places.give(2 * freemap.PAGE)
    again = freemap.find(str(tmp_path / "map"), size)
    with again:
        assert next(again.each_free()) == 2 * freemap.PAGE + 1
        assert freemap.PAGE + 3 not in set(again.each_free())
    assert freemap.find(str(tmp_path / "map"), size + 1) is None
