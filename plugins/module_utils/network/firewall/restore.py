# SPDX-License-Identifier: GPL-3.0-or-later
"""What iptables-restore(8) is told, so that the rules which are there become others. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from . import xtables
from .changes import Found, Present, planned
from .rules import Place, Policy, Rule

FIRST = ("FORWARD", "INPUT")
"""The chains of others in which ours come before all that is there."""
Chains = Sequence[tuple[str, str]]


class Edit(NamedTuple):
    """One line of a transaction. `verb` is `-N`, `-A`, `-I`, `-D`, `-F` or `-X`; `line` is a rule."""

    family: int
    table: str
    verb: str
    chain: str
    line: str = ""


def edits(present: Present, wanted: Mapping[str, Policy], chains: Chains = xtables.CHAINS) -> list[Edit]:
    """What makes the rules of each owner in `wanted` those of its policy. Rules of other owners stay as they are."""
    in_use, changes = planned(present, wanted)
    families = dict.fromkeys(rule.family for rule in present.dialect.host)
    places = [(family, *chain) for family in families for chain in chains]
    missing = [place for place in places if in_use and place not in present.chains]
    surplus = [place for place in places if not in_use and place in present.chains]
    groups = [edit for change in changes for edit in _regroup(change.place, change.gone, map(_written, change.come))]
    return _in_order(missing, groups, surplus, chains)


def back(present: Present, before: Present, chains: Chains = xtables.CHAINS) -> list[Edit]:
    """What makes our rules what they were `before`."""
    groups: list[Edit] = []
    for place in {**before.rules, **present.rules}:
        old, new = before.rules.get(place, []), present.rules.get(place, [])
        for owner in dict.fromkeys(found.owner for found in (*old, *new)):
            gone, come = ([found for found in group if found.owner == owner] for group in (new, old))
            if [found.tag for found in gone] != [found.tag for found in come]:
                groups += _regroup(place, gone, (found.line for found in come))
    return _in_order(before.chains - present.chains, groups, present.chains - before.chains, chains)


def _in_order(missing: Iterable[Place], groups: list[Edit], surplus: Iterable[Place], chains: Chains) -> list[Edit]:
    """By family and table. All chains are emptied before any is deleted, because one that is jumped to cannot go."""
    tables = list(dict.fromkeys(table for table, _chain in chains))
    new = [Edit(*place[:2], "-N", place[2]) for place in missing]
    gone = [Edit(*place[:2], verb, place[2]) for verb in ("-F", "-X") for place in surplus]
    return sorted([*new, *groups, *gone], key=lambda edit: (edit.family, tables.index(edit.table)))


def _regroup(place: Place, gone: Iterable[Found], come: Iterable[str]) -> Iterator[Edit]:
    """An owner's rules in one place are others. Where each is put before those that are there, the last one begins."""
    family, table, chain = place
    for found in gone:
        yield Edit(family, table, "-D", chain, found.line)
    for line in reversed(list(come)) if chain in FIRST else come:
        yield Edit(family, table, "-I" if chain in FIRST else "-A", chain, line)


def _written(rule: Rule) -> str:
    """Names, addresses and ports only: nothing in a rule of ours needs quotes."""
    return " ".join([*rule.args, "-m", "comment", "--comment", rule.tag])


def transaction(changes: Iterable[Edit]) -> str:
    """The edits of one family, sorted by table, as the input of iptables-restore."""
    lines: list[str] = []
    table = ""
    for edit in changes:
        if edit.table != table:
            lines += ["COMMIT"] if table else []
            lines.append(f"*{edit.table}")
            table = edit.table
        lines.append(_line(edit))
    return "\n".join([*lines, "COMMIT", ""])


def _line(edit: Edit) -> str:
    if edit.verb == "-N":
        return f":{edit.chain} - [0:0]"
    return f"{edit.verb} {edit.chain} {edit.line}".rstrip()
