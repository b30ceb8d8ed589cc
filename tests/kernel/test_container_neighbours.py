# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a network's containers: kept in a table that nobody has to keep right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core import codec
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import far


def _hosts(host: Any, name: str) -> str:
    text: str = host.exec(name, "cat", "/etc/hosts").stdout.decode()
    return text


@pytest.fixture
def lan(host: Any) -> Iterator[Any]:
    """Two containers in one network."""
    host.network()
    for name in ("a", "b"):
        host.container(name, networks=[{"name": "lan", "aliases": [f"{name}-alias"]}])
    yield host
    host.absent("a", "b", "c")
    host.no_network("lan")


def test_a_table_that_is_damaged_is_made_again(lan: Any) -> None:
    table = Path(lan.paths.names_in("lan"))
    whole = table.read_bytes()
    for damage in (
        b"",
        b"\0" * 200,
        b"[]",
        b'{"format": 2, "containers": {"x": 1}}',
        b'{"format": 0, "containers": {}}',
    ):
        table.write_bytes(damage)
        assert not lan.container("a", networks=[{"name": "lan", "aliases": ["a-alias"]}]).plan
        assert table.read_bytes() == whole


def test_records_are_not_decoded_by_the_starts_of_others(lan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the one that comes is read, and what it changed."""
    others = [lan.paths.container_record(lan.record(name).id) for name in ("a", "b")]
    read: list[str] = []
    decode = codec.decode
    monkeypatch.setattr(codec, "decode", lambda cls, raw, source: read.append(source) or decode(cls, raw, source))
    lan.container("c", networks=[{"name": "lan"}])
    assert read
    assert not set(read) & set(others)
    assert all("\tc\n" in _hosts(lan, name) for name in ("a", "b"))


def test_a_table_of_before_an_interrupted_task(lan: Any) -> None:
    """Whoever died between the record and the table, or the hosts files, is made good by the next task."""
    table, early = Path(lan.paths.names_in("lan")), Path(lan.paths.names_in("lan")).read_bytes()
    lan.container("c", networks=[{"name": "lan"}])
    lan.absent("b")
    table.write_bytes(early)
    Path(lan.paths.container(lan.record("a").id, "hosts")).write_text("half")
    assert lan.container("a", networks=[{"name": "lan", "aliases": ["a-alias"]}]).plan
    assert "\tc\n" in _hosts(lan, "a")
    assert "\tb " not in _hosts(lan, "a")


def test_what_a_container_writes_is_its_own(lan: Any) -> None:
    """Lines of its making are seen by nobody else, and are gone with the next change."""
    lan.exec("a", "sh", "-c", "echo '10.77.1.1 b forged' >> /etc/hosts")
    lan.container("c", networks=[{"name": "lan"}])
    assert not any("forged" in _hosts(lan, name) for name in "abc")


def test_another_host_takes_no_name_from_a_container_of_this_one(lan: Any) -> None:
    """The first line that has a name is believed, and addresses of other hosts may be the lower ones."""
    far.keep(lan.paths, "lan", {"h2": {"b": ["10.0.0.1"], "else": ["10.0.0.2"]}})
    lan.container("c", networks=[{"name": "lan"}])
    found = [line.split() for line in _hosts(lan, "a").splitlines()]
    assert next(fields[0] for fields in found if "b" in fields) == lan.record("b").networks["lan"].ipv4
    assert [fields[0] for fields in found if "b.h2" in fields] == ["10.0.0.1"]
    assert [fields[0] for fields in found if "else" in fields] == ["10.0.0.2"]


def test_names_that_one_alone_has_for_another(lan: Any) -> None:
    networks = [{"name": "lan", "links": ["b:base", "later:soon"]}]
    before = lan.pid("a")
    lan.container("a", networks=networks)
    assert lan.pid("a") == before, "it is changed while it runs"
    address = lan.record("b").networks["lan"].ipv4
    assert f"{address}\tbase\n" in _hosts(lan, "a")
    assert "base" not in _hosts(lan, "b")
    assert "soon" not in _hosts(lan, "a")
    assert not lan.container("a", networks=networks).plan
    assert not lan.container("a", networks=[{"name": "lan", "links": ["later:soon", "b:base"]}]).plan
    lan.container("later", networks=[{"name": "lan"}])
    assert f"{lan.record('later').networks['lan'].ipv4}\tsoon\n" in _hosts(lan, "a")
    (step,) = [step for step in lan.container("a", networks=[{"name": "lan"}]).plan if step.name == "write-record"]
    assert step.reason == "networks: [lan(link b:base, link later:soon)] → [lan]"
    assert "base" not in _hosts(lan, "a")
    lan.absent("later")


@pytest.mark.parametrize("link", ["", ":base", "b:", "b:a b", "b:c:d"])
def test_links_that_are_none(host: Any, link: str) -> None:
    with pytest.raises(BadInput):
        host.container(networks=[{"name": "lan", "links": [link]}])
