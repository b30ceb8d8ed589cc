# SPDX-License-Identifier: GPL-3.0-or-later
"""From the rules that are there to those that are wanted, as a list of edits. Pure: no command runs here.

Rules are compared by owner and chain, because within a chain the order of an owner's rules matters and the order
between owners does not. A group that is not exactly as wanted is taken out and put in again, in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from .rules import CHAINS, HOST, TAG, Rule

_TAG = re.compile(rf'--comment "?({TAG}:([^\s":]+):[0-9a-f]{{12}})"?(?:\s|$)')
_UDP = re.compile(r"-p udp .*?--dport (\d+)(?::(\d+))?")
Place = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """One of our rules as the kernel has it: `line` is what follows `-A CHAIN` in a listing."""

    tag: str
    owner: str
    line: str


@dataclass
class Present:
    """What a listing says: our chains that exist, and our rules by their place, in order."""

    chains: set[Place] = field(default_factory=set)
    rules: dict[Place, list[Found]] = field(default_factory=dict)

    def owners(self) -> set[str]:
        """Everyone who has rules; `host` is ourselves."""
        return {found.owner for group in self.rules.values() for found in group}

    def tags(self, owner: str) -> list[tuple[str, str, str]]:
        """Table, chain and tag of an owner's rules, duplicates included."""
        return [(*place, found.tag) for place, group in self.rules.items() for found in group if found.owner == owner]


@dataclass(frozen=True)
class Edit:
    """One line of a transaction. `verb` is `-N`, `-A`, `-I`, `-D`, `-F` or `-X`; `rule` is new, `line` is present."""

    table: str
    verb: str
    chain: str
    rule: Optional[Rule] = None
    line: str = ""


def parse(listing: str) -> Present:
    """Read the output of `iptables-save`."""
    present = Present()
    table = ""
    for text in listing.splitlines():
        if text.startswith("*"):
            table = text[1:].strip()
        elif text.startswith(":MINI-"):
            present.chains.add((table, text[1:].split(" ", 1)[0]))
        elif text.startswith("-A ") and TAG in text:
            _verb, chain, line = text.split(" ", 2)
            match = _TAG.search(line)
            if match:
                present.rules.setdefault((table, chain), []).append(Found(match[1], match[2], line))
    return present


def right(present: Present, owner: str, wanted: Sequence[Rule]) -> bool:
    """Whether the owner's rules are exactly these: none missing, none more than once, each chain in order."""
    return all(
        [found.tag for found in _mine(present, place, owner)] == [rule.tag for rule in group]
        for place, group in _places(present, owner, wanted).items()
    )


def edits(present: Present, wanted: Mapping[str, Sequence[Rule]]) -> list[Edit]:
    """What makes the rules of each owner in `wanted` exactly those given. Rules of other owners stay as they are.

    Our chains and the jumps to them are there while anybody has rules, and go with the last.
    """
    staying = {owner for owner in present.owners() - {"host"} if owner not in wanted}
    in_use = bool(staying or any(wanted.values()))
    everything = {**wanted, "host": HOST if in_use else ()}
    result = [Edit(table, "-N", chain) for table, chain in CHAINS if in_use and (table, chain) not in present.chains]
    for owner, rules in everything.items():
        for place, group in _places(present, owner, rules).items():
            result += _regroup(_mine(present, place, owner), place, group)
    if not in_use:
        result += _without_chains(present)
    return _by_table(result)


def _without_chains(present: Present) -> list[Edit]:
    """All are emptied before any is deleted, because a chain that is jumped to cannot go."""
    gone = [place for place in CHAINS if place in present.chains]
    return [Edit(table, verb, chain) for verb in ("-F", "-X") for table, chain in gone]


def udp_ports(result: Iterable[Edit]) -> set[int]:
    """The UDP ports of the host whose translation the edits change."""
    found: set[int] = set()
    for edit in result:
        match = _UDP.search(" ".join(edit.rule.args) if edit.rule else edit.line)
        if edit.chain == "MINI-DNAT" and match:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


def _regroup(have: Sequence[Found], place: Place, group: Sequence[Rule]) -> list[Edit]:
    if [found.tag for found in have] == [rule.tag for rule in group]:
        return []
    removed = [Edit(place[0], "-D", place[1], line=found.line) for found in have]
    added = [Edit(place[0], "-I" if rule.first else "-A", place[1], rule=rule) for rule in group]
    return removed + added


def _places(present: Present, owner: str, wanted: Sequence[Rule]) -> dict[Place, list[Rule]]:
    """The wanted rules by place, and an empty list for each place where the owner has rules but wants none."""
    groups: dict[Place, list[Rule]] = {}
    for rule in wanted:
        groups.setdefault((rule.table, rule.chain), []).append(rule)
    for place, group in present.rules.items():
        if any(found.owner == owner for found in group):
            groups.setdefault(place, [])
    return groups


def _mine(present: Present, place: Place, owner: str) -> list[Found]:
    return [found for found in present.rules.get(place, []) if found.owner == owner]


def _by_table(result: list[Edit]) -> list[Edit]:
    tables = list(dict.fromkeys(table for table, _chain in CHAINS))
    return sorted(result, key=lambda edit: tables.index(edit.table))
