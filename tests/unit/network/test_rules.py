# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule model, and the way from rules that are there to those that are wanted."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs import PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.changes import (
    edits,
    parse,
    right,
    udp_ports,
)
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.iptables import transaction
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.rules import (
    CHAINS,
    HOST,
    of_container,
    of_network,
)

P = PublishedPort
WEB = of_network("mini-web", "10.1.0.0/24")
ID = "c" * 64


def listing(*rules) -> str:
    """What iptables-save would say."""
    text = ""
    for table in ("raw", "filter", "nat"):
        text += f"*{table}\n:OUTPUT ACCEPT [0:0]\n"
        text += "".join(f":{chain} - [0:0]\n" for where, chain in CHAINS if where == table)
        for rule in rules:
            if rule.table == table:
                text += f'-A {rule.chain} {" ".join(rule.args)} -m comment --comment "{rule.tag}"\n'
        text += "COMMIT\n"
    return text


@pytest.mark.parametrize(
    ("ports", "wanted"),
    [
        ([(P(8080, 80), "10.1.0.2")], ["-p tcp --dport 8080 -j DNAT --to-destination 10.1.0.2:80"]),
        (
            [(P(53, 53, "udp", "127.0.0.1"), "10.1.0.2")],
            ["-d 127.0.0.1 -p udp --dport 53 -j DNAT --to-destination 10.1.0.2:53"],
        ),
        (
            [(P(8000 + n, 80 + n), "10.1.0.2") for n in range(3)],
            ["-p tcp --dport 8000:8002 -j DNAT --to-destination 10.1.0.2:80-82/8000"],
        ),
        (
            [(P(port, port), "10.1.0.2") for port in (9000, 9001)],
            ["-p tcp --dport 9000:9001 -j DNAT --to-destination 10.1.0.2"],
        ),
        (
            [(P(1, 1), "10.1.0.2"), (P(2, 2, "udp"), "10.1.0.2"), (P(3, 3), "10.1.0.2"), (P(4, 4), "10.1.0.3")],
            [
                "-p tcp --dport 1 -j DNAT --to-destination 10.1.0.2:1",
                "-p tcp --dport 3 -j DNAT --to-destination 10.1.0.2:3",
                "-p tcp --dport 4 -j DNAT --to-destination 10.1.0.3:4",
                "-p udp --dport 2 -j DNAT --to-destination 10.1.0.2:2",
            ],
        ),
    ],
)
def test_published_ports(ports, wanted):
    assert [" ".join(rule.args) for rule in of_container(ID, ports)] == wanted
    assert of_container(ID, list(reversed(ports))) == of_container(ID, ports)


def test_ten_thousand_ports_are_one_rule():
    assert len(of_container(ID, [(P(10000 + n, 10000 + n), "10.1.0.2") for n in range(10000)])) == 1


def test_what_is_dropped_comes_last():
    into = [" ".join(rule.args) for rule in WEB if rule.chain == "MINI-IN"]
    assert into[-1] == "-o mini-web -j DROP"
    assert all("ACCEPT" in text for text in into[:-1])


def test_an_internal_network_has_no_way_out():
    text = "\n".join(" ".join(rule.args) for rule in of_network("mini-web", "10.1.0.0/24", internal=True))
    assert "-i mini-web -j DROP" in text
    assert "! -o mini-web" not in text
    assert "ESTABLISHED" not in text


def test_tags_tell_owner_and_content():
    tags = [rule.tag for rule in (*HOST, *WEB)]
    assert len(set(tags)) == len(tags)
    assert all(rule.tag.startswith("mini:mini-web:") for rule in WEB)
    assert len(of_container(ID, [(P(1, 1), "10.1.0.2")])[0].tag) < 256, "xt_comment takes no more"


def test_from_nothing():
    text = transaction(edits(parse(""), {"mini-web": WEB}))
    assert text.count("COMMIT") == 3
    assert text.count(" - [0:0]") == len(CHAINS)
    assert text.count("-A ") + text.count("-I ") == len(HOST) + len(WEB)
    assert text.index("*filter") < text.index("*nat"), "nothing is let in before the rest is kept out"
    assert "-I FORWARD -j MINI-FORWARD" in text


def test_nothing_to_do():
    present = parse(listing(*HOST, *WEB))
    assert right(present, "mini-web", WEB)
    assert edits(present, {"mini-web": WEB}) == []


@pytest.mark.parametrize(
    "there",
    [
        [rule for rule in WEB if "DNAT" not in rule.args],
        [*WEB, WEB[1]],
        list(reversed(WEB)),
        [*WEB, *(rule for rule in of_network("mini-web", "10.2.0.0/24") if rule not in WEB)],
    ],
    ids=["missing", "twice", "out of order", "surplus"],
)
def test_what_differs_is_put_right(there):
    present = parse(listing(*HOST, *there))
    assert not right(present, "mini-web", WEB)
    changes = edits(present, {"mini-web": WEB})
    assert changes
    assert all(edit.chain.startswith("MINI-") for edit in changes), "the jumps stay"
    places = {(edit.table, edit.chain) for edit in changes}
    for place in places:
        gone = [edit.line for edit in changes if (edit.table, edit.chain) == place and edit.verb == "-D"]
        come = [edit.rule for edit in changes if (edit.table, edit.chain) == place and edit.verb == "-A"]
        assert len(gone) == len([rule for rule in there if (rule.table, rule.chain) == place])
        assert come == [rule for rule in WEB if (rule.table, rule.chain) == place]


def test_others_stay():
    box = of_container(ID, [(P(1, 1), "10.1.0.2")])
    present = parse(listing(*HOST, *WEB, *box))
    changes = edits(present, {ID: ()})
    assert [(edit.verb, edit.chain) for edit in changes] == [("-D", "MINI-DNAT")]


def test_the_last_takes_the_chains_along():
    foreign = "*filter\n-A FORWARD -s 198.51.100.1 -j DROP\nCOMMIT\n"
    changes = edits(parse(foreign + listing(*HOST, *WEB)), {"mini-web": ()})
    text = transaction(changes)
    assert "198.51.100.1" not in text
    assert [edit.chain for edit in changes if edit.verb == "-X"] == [chain for _table, chain in CHAINS]
    for table in ("raw", "filter", "nat"):
        verbs = [edit.verb for edit in changes if edit.table == table]
        assert verbs == sorted(verbs, key=["-D", "-F", "-X"].index)
    assert edits(parse(foreign), {"mini-web": ()}) == []


def test_comments_as_both_kinds_of_iptables_write_them():
    for comment in ('"mini:mini-web:0123456789ab"', "mini:mini-web:0123456789ab"):
        present = parse(f"*nat\n-A MINI-DNAT -p tcp -m comment --comment {comment} -j RETURN\nCOMMIT\n")
        assert present.owners() == {"mini-web"}
    assert parse("*nat\n-A X -m comment --comment mini:web -j RETURN\nCOMMIT\n").owners() == set()


def test_udp_ports_that_changed():
    old = of_container(ID, [(P(53, 53, "udp"), "10.1.0.2"), (P(80, 80), "10.1.0.2")])
    new = of_container(ID, [(P(70 + n, 70 + n, "udp"), "10.1.0.2") for n in range(3)])
    assert udp_ports(edits(parse(listing(*HOST, *old)), {ID: new})) == {53, 70, 71, 72}
    assert udp_ports(edits(parse(listing(*HOST, *old)), {ID: old})) == set()
