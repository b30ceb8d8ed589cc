# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of both kinds of driver, and the way from rules that are there to those that are wanted."""

from __future__ import annotations

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import PublishedPort
from ansible_collections.mini.containers.plugins.module_utils.network.firewall import ruleset, xtables
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.changes import Dialect, Found, Present
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.elements import Key, meet, pack, unpack
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.iptables import Iptables, parse
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.restore import back, edits, transaction
from ansible_collections.mini.containers.plugins.module_utils.network.firewall.rules import (
    Lan,
    translations,
    udp_ports,
)

P = PublishedPort
DIALECT = Iptables().dialect
HOST = DIALECT.host
WEB_LAN = Lan("mini-web", ("10.1.0.0/24",))
WEB = xtables.rules_of("mini-web", WEB_LAN, 4)
ID = "c" * 64


def of_ports(ports, family=4):
    return xtables.rules_of(ID, translations(ports), family)


def listing(*rules) -> str:
    """What iptables-save would say."""
    text = ""
    for table in ("raw", "filter", "nat"):
        text += f"*{table}\n:OUTPUT ACCEPT [0:0]\n"
        text += "".join(f":{chain} - [0:0]\n" for where, chain in xtables.CHAINS if where == table)
        for rule in rules:
            if rule.table == table:
                text += f'-A {rule.chain} {" ".join(rule.args)} -m comment --comment "{rule.tag}"\n'
        text += "COMMIT\n"
    return text


def read(text: str) -> Present:
    present = Present(DIALECT)
    parse(text, 4, present)
    return present


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
            [(P(port, port, "sctp"), "10.1.0.2") for port in (9000, 9001)],
            ["-p sctp --dport 9000:9001 -j DNAT --to-destination 10.1.0.2"],
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
        (
            [(P(1, 1, allow_from=("192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32")), "10.1.0.2")],
            [
                "-s 127.0.0.0/8 -p tcp --dport 1 -j DNAT --to-destination 10.1.0.2:1",
                "-s 192.0.2.0/24 -p tcp --dport 1 -j DNAT --to-destination 10.1.0.2:1",
            ],
        ),
    ],
)
def test_published_ports(ports, wanted):
    assert [" ".join(rule.args) for rule in of_ports(ports)] == wanted
    assert of_ports(list(reversed(ports))) == of_ports(ports)
    assert of_ports(ports, 6) == ()


def test_published_ports_of_ipv6():
    (rule,) = of_ports([(P(8080, 80, "tcp", "2001:db8::1"), "fd00::2")], 6)
    assert " ".join(rule.args) == "-d 2001:db8::1 -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80"
    (rule,) = of_ports([(P(8000 + n, 80 + n), "fd00::2") for n in range(3)], 6)
    assert " ".join(rule.args).endswith("--dport 8000:8002 -j DNAT --to-destination [fd00::2]:80-82/8000")


@pytest.mark.parametrize(
    ("ports", "wanted"),
    [
        ([(P(8080, 80), "10.1.0.2")], [("any4", "tcp . 8080", "10.1.0.2 . 80")]),
        ([(P(53, 53, "udp", "::1"), "fd00::2")], [("at6", "::1 . udp . 53", "fd00::2 . 53")]),
        (
            [(P(8000 + n, 80 + n), "10.1.0.2") for n in range(2)],
            [
                ("any4", "tcp . 8000", "10.1.0.2 . 80"),
                ("any4", "tcp . 8001", "10.1.0.2 . 81"),
            ],
        ),
        (
            [(P(port, port), "10.1.0.2") for port in (9000, 9001)],
            [("ranges4", "0.0.0.0/0 . 0.0.0.0/0 . tcp . 9000-9001", "10.1.0.2")],
        ),
        (
            [(P(1, 1, allow_from=("2001:db8::/32",)), "10.1.0.2")],
            [("ports4", "127.0.0.0/8 . 0.0.0.0/0 . tcp . 1", "10.1.0.2 . 1")],
        ),
    ],
)
def test_published_ports_as_elements(ports, wanted):
    rules = ruleset.rules_of(ID, translations(ports))
    assert [(rule.chain, *rule.args) for rule in rules] == wanted


def test_ten_thousand_ports_are_one_rule():
    many = [(P(10000 + n, 10000 + n), "10.1.0.2") for n in range(10000)]
    assert len(of_ports(many)) == 1
    assert len(ruleset.rules_of(ID, translations(many))) == 1


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("ports4", "0.0.0.0/0 . 192.0.2.1 . tcp . 80", "0.0.0.0-255.255.255.255 . 192.0.2.1 . tcp . 80"),
        ("ranges6", "fd00::/64 . ::1 . sctp . 80-90", "fd00::-fd00::ffff:ffff:ffff:ffff . ::1 . sctp . 80-90"),
        ("into", '"mini-web"', '"mini-web"'),
    ],
)
def test_keys_as_the_kernel_has_them(name, text, shown):
    types = ruleset.KEYS[name]
    key = pack(text, types)
    assert unpack(key, types) == shown
    assert pack(shown, types) == key
    assert len(key.first) == {"ports4": 16, "ranges6": 40, "into": 16}[name]


def test_keys_that_meet():
    types = ruleset.KEYS["ports4"]

    def met(one: str, other: str) -> bool:
        return meet(pack(one, types), pack(other, types), types)

    everywhere = "0.0.0.0/0 . 0.0.0.0/0 . tcp . 80"
    assert met(everywhere, "0.0.0.0/0 . 127.0.0.1 . tcp . 80-81")
    assert not met(everywhere, "0.0.0.0/0 . 127.0.0.1 . udp . 80")
    assert not met(everywhere, "0.0.0.0/0 . 127.0.0.1 . tcp . 81-90")
    assert not met("10.0.0.0/8 . 0.0.0.0/0 . tcp . 80", "192.0.2.0/24 . 0.0.0.0/0 . tcp . 80")
    assert Key(b"a", b"a") == (b"a", b"a")


def test_what_is_dropped_comes_last():
    into = [" ".join(rule.args) for rule in WEB if rule.chain == "MINI-IN"]
    assert into[-1] == "-o mini-web -j DROP"
    assert all("ACCEPT" in text for text in into[:-1])
    table = [rule.args[0] for rule in ruleset.rules_of("mini-web", WEB_LAN) if rule.chain == "into-mini-web"]
    assert table[-1] == "drop"
    assert all("accept" in text for text in table[:-1])


def test_an_internal_network_has_no_way_out():
    lan = Lan("mini-web", ("10.1.0.0/24",), internal=True)
    text = "\n".join(" ".join(rule.args) for rule in xtables.rules_of("mini-web", lan, 4))
    assert "-i mini-web -j DROP" in text
    assert "! -o mini-web" not in text
    assert "ESTABLISHED" not in text
    table = "\n".join(" ".join(rule.args) for rule in ruleset.rules_of("mini-web", lan))
    assert "established" not in table
    assert "leave-mini-web" not in table


@pytest.mark.parametrize(
    ("change", "gone", "come"),
    [
        ({"icc": False}, "-i mini-web -o mini-web -j ACCEPT", ""),
        ({"masquerade": False}, "-s 10.1.0.0/24 ! -o mini-web -j MASQUERADE", ""),
        ({"isolate": False}, "", "! -i mini-web -o mini-web -j MINI-OPEN"),
    ],
)
def test_what_a_network_may(change, gone, come):
    lan = Lan("mini-web", ("10.1.0.0/24",), **change)
    texts = [" ".join(rule.args) for rule in xtables.rules_of("mini-web", lan, 4)]
    assert gone not in texts
    assert not come or come in texts
    assert ruleset.rules_of("mini-web", lan) != ruleset.rules_of("mini-web", WEB_LAN)


def test_tags_tell_owner_and_content():
    tags = [rule.tag for rule in (*HOST, *WEB)]
    assert len(set(tags)) == len(tags)
    assert all(rule.tag.startswith("mini:mini-web:") for rule in WEB)
    longest = of_ports([(P(1, 1), "10.1.0.2")])[0].tag
    assert len(longest) < 128, "xt_comment takes 255 bytes, a comment of nft 127"


def test_from_nothing():
    text = transaction(edits(read(""), {"mini-web": WEB_LAN}))
    assert text.count("COMMIT") == 3
    assert text.count(" - [0:0]") == len(xtables.CHAINS)
    assert text.count("-A ") + text.count("-I ") == len(HOST) + len(WEB)
    assert text.index("*filter") < text.index("*nat"), "nothing is let in before the rest is kept out"
    assert "-I FORWARD -j MINI-FORWARD" in text


def test_nothing_to_do():
    present = read(listing(*HOST, *WEB))
    assert present.whole()
    assert present.right("mini-web", WEB_LAN)
    assert edits(present, {"mini-web": WEB_LAN}) == []


def test_every_chain_that_is_emptied_is_missed():
    for table, chain in xtables.CHAINS:
        rest = [rule for rule in (*HOST, *WEB) if (rule.table, rule.chain) != (table, chain)]
        assert not read(listing(*rest)).whole(), chain
    for chain in ruleset.CHAINS:
        present = Present(ruleset_dialect())
        for rule in ruleset.OF_HOST:
            if rule.chain != chain:
                present.add(rule.place, Found(rule.tag, rule.owner))
        assert not present.whole(), chain


def ruleset_dialect():
    return DIALECT._replace(host=ruleset.OF_HOST, rules_of=ruleset.rules_of)


@pytest.mark.parametrize(
    "there",
    [
        [rule for rule in WEB if "DNAT" not in rule.args],
        [*WEB, WEB[1]],
        list(reversed(WEB)),
        [*WEB, *(r for r in xtables.rules_of("mini-web", Lan("mini-web", ("10.2.0.0/24",)), 4) if r not in WEB)],
    ],
    ids=["missing", "twice", "out of order", "surplus"],
)
def test_what_differs_is_put_right(there):
    present = read(listing(*HOST, *there))
    assert not present.right("mini-web", WEB_LAN)
    changes = edits(present, {"mini-web": WEB_LAN})
    assert changes
    assert all(edit.chain.startswith("MINI-") for edit in changes), "the jumps stay"
    places = {(edit.table, edit.chain) for edit in changes}
    for place in places:
        gone = [edit.line for edit in changes if (edit.table, edit.chain) == place and edit.verb == "-D"]
        come = [edit.line for edit in changes if (edit.table, edit.chain) == place and edit.verb == "-A"]
        assert len(gone) == len([rule for rule in there if (rule.table, rule.chain) == place])
        mine = [rule for rule in WEB if (rule.table, rule.chain) == place]
        assert come == [" ".join([*rule.args, "-m comment --comment", rule.tag]) for rule in mine]


def test_others_stay():
    box = of_ports([(P(1, 1), "10.1.0.2")])
    present = read(listing(*HOST, *WEB, *box))
    changes = edits(present, {ID: ()})
    assert [(edit.verb, edit.chain) for edit in changes] == [("-D", "MINI-DNAT")]


def test_the_last_takes_the_chains_along():
    foreign = "*filter\n-A FORWARD -s 198.51.100.1 -j DROP\nCOMMIT\n"
    changes = edits(read(foreign + listing(*HOST, *WEB)), {"mini-web": None})
    text = transaction(changes)
    assert "198.51.100.1" not in text
    assert [edit.chain for edit in changes if edit.verb == "-X"] == [chain for _table, chain in xtables.CHAINS]
    for table in ("raw", "filter", "nat"):
        verbs = [edit.verb for edit in changes if edit.table == table]
        assert verbs == sorted(verbs, key=["-D", "-F", "-X"].index)
    assert edits(read(foreign), {"mini-web": None}) == []


def test_back_to_what_was_there():
    """Each place in its order, the jumps where they were, and no chain that was not."""
    nothing, all_of_it = read("*filter\n-A FORWARD -s 198.51.100.1 -j DROP\nCOMMIT\n"), read(listing(*HOST, *WEB))
    assert back(all_of_it, all_of_it) == []
    made = back(nothing, all_of_it)
    assert [edit.verb for edit in made if edit.chain in ("FORWARD", "MINI-OUT")] == ["-N", "-I", "-A", "-A"]
    gone = back(all_of_it, nothing)
    assert {edit.verb for edit in gone} == {"-D", "-F", "-X"}
    other = read(listing(*HOST, *reversed(WEB)))
    lines = [edit.line for edit in back(other, all_of_it) if (edit.chain, edit.verb) == ("MINI-IN", "-A")]
    assert lines == [found.line for found in all_of_it.rules[4, "filter", "MINI-IN"] if found.owner != "host"]


def test_comments_as_both_kinds_of_iptables_write_them():
    for comment in ('"mini:mini-web:0123456789ab"', "mini:mini-web:0123456789ab"):
        present = read(f"*nat\n-A MINI-DNAT -p tcp -m comment --comment {comment} -j RETURN\nCOMMIT\n")
        assert present.owners() == {"mini-web"}
    assert read("*nat\n-A X -m comment --comment mini:web -j RETURN\nCOMMIT\n").owners() == set()


def test_udp_ports_that_changed():
    old = translations([(P(53, 53, "udp"), "10.1.0.2"), (P(80, 80), "10.1.0.2")])
    new = translations([(P(70 + n, 70 + n, "udp"), "10.1.0.2") for n in range(3)])
    assert udp_ports((old, new)) == {53, 70, 71, 72}


def test_elements_have_no_order_and_rules_have():
    """The kernel lists a set in the order of a hash."""
    lan = Lan("mini-web", ("10.1.0.0/16",), overlay="vx-web")
    dialect = Dialect("nftables", (), ruleset.rules_of)
    wanted = ruleset.rules_of("mini-web", lan)

    def there(rules) -> Present:
        present = Present(dialect)
        for rule in rules:
            present.add(rule.place, Found(rule.tag, rule.owner))
        return present

    chains, elements = ([rule for rule in wanted if rule.table == kind] for kind in ("chain", "element"))
    assert there([*chains, *reversed(elements)]).right("mini-web", lan)
    assert not there([*reversed(chains), *elements]).right("mini-web", lan)
