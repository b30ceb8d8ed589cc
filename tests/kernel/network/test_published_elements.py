# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports over netlink: what `nft` would make of the same rules, all of it or nothing, and without `nft`."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.network.firewall import nftables
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.changes import Present, planned
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.elements import pack
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.nfnetlink import (
    Element,
    Exchange,
    Table,
)
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.rules import Lan, translations
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.ruleset import KEYS, OF_PORTS

from .conftest import own_namespaces, sh

P = PublishedPort
WEB, BOX, OTHER = "mini-web", "a" * 64, "b" * 64
LAN = Lan(WEB, ("10.1.0.0/24", "fd00:1::/64"))
IP, IP6 = "10.1.0.2", "fd00:1::2"
FEW = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32")
NEXT_TO_EACH_OTHER = [P(9000 + number, 9000 + number) for number in range(5)]
SHIFTED = [P(9100 + number, 80 + number, "udp") for number in range(3)]
EVERY_KIND = [
    *((P(8080, 80, protocol), ip) for protocol in ("tcp", "udp", "sctp") for ip in (IP, IP6)),
    (P(8081, 80, "tcp", "127.0.0.1"), IP),
    (P(8081, 80, "tcp", "::1"), IP6),
    *((P(8082, 80, "tcp", "", 0, FEW), ip) for ip in (IP, IP6)),
    (P(8083, 80, "tcp", "127.0.0.1", 0, FEW), IP),
    *((port, ip) for port in (*NEXT_TO_EACH_OTHER, *SHIFTED) for ip in (IP, IP6)),
    *((P(port.host_port + 500, port.container_port + 500, "tcp", "", 0, FEW), IP) for port in NEXT_TO_EACH_OTHER),
]
MOVED = [(port, ip.replace("::2", "::3").replace(".2", ".3")) for port, ip in EVERY_KIND[::2]]
STEPS = [
    {BOX: EVERY_KIND},
    {BOX: MOVED, OTHER: [(P(7000, 70), IP)]},
    {BOX: EVERY_KIND, OTHER: []},
    {BOX: [], OTHER: []},
]


@pytest.fixture
def table():
    """The table with a network."""
    with own_namespaces():
        nftables.Nftables().apply({WEB: LAN}, {})
        yield


def listed() -> list[str]:
    """The table as `nft` sees it, but for what tells one from another that has the same in it."""
    found = json.loads(sh("nft -j list table inet mini"))["nftables"]
    for entry in found:
        for thing in entry.values():
            thing.pop("handle", None)
            if isinstance(thing.get("elem"), list):
                thing["elem"].sort(key=json.dumps)
    return sorted(map(json.dumps, found))


def made_by_nft(policies) -> list[str]:
    """The same from nothing by a script alone."""
    with own_namespaces():
        _in_use, changes = planned(Present(nftables.DIALECT), {WEB: LAN, **policies})
        sh("nft -f - <<'END'\n" + "\n".join(nftables.script(changes, True)) + "\nEND")
        return listed()


def test_the_same_as_nft_makes(table, monkeypatch):
    before = {BOX: (), OTHER: ()}
    for step in STEPS:
        wanted = {owner: translations(ports) for owner, ports in step.items()}
        expected = made_by_nft(wanted)
        with monkeypatch.context() as patched:
            patched.delattr(nftables, "run")
            assert nftables.Nftables().apply(wanted, before)
            assert not nftables.Nftables().apply(wanted, wanted)
        assert listed() == expected
        before = wanted


def test_a_great_many_at_once(table):
    """More than a socket takes unasked, in messages of which each has room for a few hundred."""
    ports = translations((P(10_000 + number, 1 + number), IP) for number in range(5_000))
    assert nftables.Nftables().apply({BOX: ports}, {})
    assert nftables.Nftables().look_up([(BOX, ports)]).right(BOX, ports)
    assert nftables.Nftables().apply({BOX: ()}, {BOX: ports})
    with Table("mini") as mini:
        assert not any(mini.elements(name) for name in OF_PORTS)


def key(text: str):
    return pack(text, KEYS["any4"])


def element(text: str) -> Element:
    return Element(key(text), "mini:x:0123456789ab", pack("10.1.0.2 . 80", ("ipv4_addr", "inet_service")).first)


@pytest.mark.parametrize(
    ("gone", "come", "error"),
    [
        (["tcp . 1", "tcp . 404"], ["tcp . 2"], FileNotFoundError),
        (["tcp . 1"], ["tcp . 2", "tcp . 3"], FileExistsError),
        ([], ["tcp . 2", "tcp . 2"], FileExistsError),
    ],
)
def test_all_or_nothing(table, gone, come, error):
    """With what the kernel refuses, in the middle or last, nothing else is done."""
    with Table("mini") as mini:
        mini.exchange([Exchange("any4", False, [], [element("tcp . 1"), element("tcp . 3")])])
        before = listed()
        with pytest.raises(error, match="change elements"):
            mini.exchange([Exchange("any4", False, [*map(key, gone)], [*map(element, come)])])
        assert listed() == before
        mini.exchange([Exchange("any4", False, [key("tcp . 1")], [element("tcp . 1")])])
        assert listed() == before


@pytest.mark.parametrize(
    "interference",
    [
        "delete table inet mini",
        "flush ruleset",
        'add element inet mini any4 { tcp . 8080 comment "not ours" : 192.0.2.9 . 9 }',
        "delete element inet mini any4 { tcp . 7000 }",
    ],
)
def test_changed_by_another_program_in_between(table, monkeypatch, interference):
    """The transaction is refused, and made anew from a look at everything."""
    before, wanted = {BOX: translations([(P(7000, 70), IP)])}, {BOX: translations(EVERY_KIND)}
    nftables.Nftables().apply(before, {})
    exchange = Table.exchange

    def too_late(self, exchanges):
        monkeypatch.undo()
        sh(f"nft '{interference}'")
        exchange(self, exchanges)

    monkeypatch.setattr(Table, "exchange", too_late)
    driver = nftables.Nftables()
    assert driver.apply(wanted, before)
    assert driver.look_up([*wanted.items(), *before.items()]).right(BOX, wanted[BOX])
    assert driver.observe().whole()


def test_the_last_takes_the_table_along(table):
    """Be it a network or a container: where no network is left, the ports of others still count."""
    ports, few, driver = translations(EVERY_KIND), translations([(P(7000, 70), IP)]), nftables.Nftables()
    driver.apply({BOX: ports, OTHER: few}, {})
    driver.apply({WEB: None})
    assert driver.apply({BOX: ()}, {BOX: ports})
    assert driver.look_up([(OTHER, few)]).right(OTHER, few)
    assert driver.apply({OTHER: ()}, {OTHER: few})
    assert "mini" not in sh("nft list tables")


def test_what_cannot_be_changed_says_why(table, monkeypatch):
    def refused(self, exchanges):
        raise OSError(28, "change elements: No space left on device")

    monkeypatch.setattr(Table, "exchange", refused)
    with pytest.raises(StepFailed, match="cannot change the table inet mini: change elements: No space left"):
        nftables.Nftables().apply({BOX: translations(EVERY_KIND)}, {})
