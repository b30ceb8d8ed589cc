# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that are there beside those that are wanted. Pure: no command runs here.

Rules are compared by owner and place, because within a chain the order of an owner's rules matters and the order
between owners does not. A group that is not exactly as wanted is taken out and put in again, in one transaction. The
elements of a set have no order: of these only those that differ come and go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Callable, NamedTuple

from .rules import ELEMENT, HOST, Place, Policy, Rule


class Dialect(NamedTuple):
    """How a driver says what is to be done: what all need, and what one owner needs."""

    name: str
    host: tuple[Rule, ...]
    rules_of: Callable[[str, Policy], tuple[Rule, ...]]


NO_DIALECT = Dialect("", (), lambda _owner, _policy: ())


@dataclass(frozen=True)
class Found:
    """One of our rules as the kernel has it. `line` is how the driver names it when it is to go."""

    tag: str
    owner: str
    line: str = ""


class Change(NamedTuple):
    """A group that is not as wanted: an owner's rules in one place, those that go and those that come."""

    place: Place
    gone: list[Found]
    come: list[Rule]


def _apart(pair: Change) -> Change:
    """What is not on both sides."""
    come, gone = {rule.tag for rule in pair.come}, {found.tag for found in pair.gone}
    return Change(
        pair.place,
        [found for found in pair.gone if found.tag not in come],
        [rule for rule in pair.come if rule.tag not in gone],
    )


@dataclass
class Present:
    """What the kernel has: our chains that exist, and our rules by their place, in order.

    `beside` are rules of ours that stand among those of another packet filter.
    """

    dialect: Dialect = NO_DIALECT
    beside: list[Present] = field(default_factory=list)
    chains: set[Place] = field(default_factory=set)
    rules: dict[Place, list[Found]] = field(default_factory=dict)

    def add(self, place: Place, found: Found) -> None:
        """One more rule, behind those of its place."""
        self.rules.setdefault(place, []).append(found)

    def owners(self) -> set[str]:
        """Everyone who has rules, but for ourselves."""
        return {found.owner for group in self.rules.values() for found in group} - {HOST}

    def whole(self) -> bool:
        """Whether what all need is there. What is emptied by somebody else takes some of it along."""
        return not self.changes(HOST, self.dialect.host) and all(other.whole() for other in self.beside)

    def right(self, owner: str, policy: Policy) -> bool:
        """Whether the owner's rules are exactly those of the policy: none missing, none twice, each place in order."""
        mine = self.changes(owner, self.dialect.rules_of(owner, policy))
        return not mine and all(other.right(owner, policy) for other in self.beside)

    def missing(self, owner: str, policy: Policy) -> list[Rule]:
        """The rules of the policy that are not there."""
        tags = {found.tag for group in self.rules.values() for found in group if found.owner == owner}
        return [rule for rule in self.dialect.rules_of(owner, policy) if rule.tag not in tags]

    def changes(self, owner: str, wanted: Iterable[Rule]) -> list[Change]:
        """The groups in which the owner's rules differ from these."""
        groups: dict[Place, list[Rule]] = {}
        for rule in wanted:
            groups.setdefault(rule.place, []).append(rule)
        found: dict[Place, list[Found]] = {}
        for place, group in self.rules.items():
            mine = [each for each in group if each.owner == owner]
            if mine:
                found[place] = mine
        pairs = [Change(place, found.get(place, []), groups.get(place, [])) for place in {**groups, **found}]
        differing = [_apart(pair) if pair.place[1] == ELEMENT else pair for pair in pairs]
        return [pair for pair in differing if [each.tag for each in pair.gone] != [rule.tag for rule in pair.come]]


def planned(present: Present, wanted: Mapping[str, Policy]) -> tuple[bool, list[Change]]:
    """Whether anybody has rules afterwards, and what changes: the rules of all that are mentioned, and our own, which
    are there while anybody has some, and go with the last."""
    staying = present.owners() - set(wanted)
    rules = {owner: present.dialect.rules_of(owner, policy) for owner, policy in wanted.items()}
    in_use = bool(staying or any(rules.values()))
    everything: dict[str, Sequence[Rule]] = {HOST: present.dialect.host if in_use else (), **rules}
    return in_use, [change for owner, group in everything.items() for change in present.changes(owner, group)]
