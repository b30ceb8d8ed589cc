# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall driver for nftables: a table of our own, read over netlink.

A change set is one transaction. Published ports are elements that come and go one by one, whatever else is in their
map, and over netlink as well. Rules of networks are replaced a chain at a time, by `nft -f -`, which knows how to
make a rule. Nobody else has anything in this table: a rule without our mark is a fault of its chain, and goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Optional

from ...core.errors import Conflict, StepFailed
from ..command import find, run
from . import gate
from .changes import Change, Dialect, Found, Present, planned
from .elements import meet, pack, unpack
from .iptables import Iptables
from .nfnetlink import Element, Exchange, Table
from .rules import ATTEMPTS, ELEMENT, HOST, Policy, Rule, owner_of
from .ruleset import (
    CHAINS,
    KEYS,
    OF_HOST,
    OF_NETWORKS,
    OF_PORTS,
    TABLE,
    VALUES,
    WITH_RANGES,
    chains_of,
    hook_of,
    rules_of,
)

PACKAGE = "nftables"
DIALECT = Dialect("nftables", OF_HOST, rules_of)
PORTS_ALONE = DIALECT._replace(host=())


class Nftables:
    """The table `inet mini`, and a gate through the chains of iptables where there are some."""

    looks_up = True

    @cached_property
    def gates(self) -> list[Iptables]:
        """The ways through iptables."""
        return gate.gates()

    def observe(self, bridges: Iterable[str] = ()) -> Present:
        """What all need, the rules of these bridges, and who has networks."""
        present = Present(DIALECT, beside=[each.observe() for each in self.gates])
        owners = {**dict.fromkeys(CHAINS, HOST), **{chain: owner for owner in bridges for chain in chains_of(owner)}}
        with Table(TABLE) as table:
            for chain, owner in owners.items():
                for comment in table.comments(chain):
                    ours = owner_of(comment) == owner
                    present.add((0, "chain", chain), Found(comment if ours else "", owner))
            _list(present, table, OF_NETWORKS)
        return present

    def look_up(self, ports: Iterable[tuple[str, Policy]]) -> Present:
        """These published ports, each with its owner, as far as they are there."""
        present = Present(PORTS_ALONE)
        with Table(TABLE) as table:
            _find(present, table, ports)
        return present

    def apply(self, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]] = None) -> bool:
        """Observe, and change what differs. The caller holds the firewall's lock; whether there was anything to do.

        `before` is what the containers among the owners had last: where it is known only their ports are looked up.
        """
        changed = self._apply(wanted, before)
        networks = {owner: policy for owner, policy in wanted.items() if not isinstance(policy, tuple)}
        opened = [each.apply(networks) for each in self.gates] if networks else []
        return changed or any(opened)

    def _apply(self, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]]) -> bool:
        known = before is not None and all(policy is not None for policy in wanted.values())
        failed = ""
        for attempt in range(ATTEMPTS):
            # What a first look may have overlooked has made the transaction fail.
            present = self._look(wanted, (before or {}) if known and not attempt else None)
            in_use, changes = planned(present, wanted)
            if not changes:
                return attempt > 0
            _refuse_taken(present, wanted)
            failed = _change(changes, in_use)
            if not failed:
                return True
        raise StepFailed(
            f"cannot change the table inet {TABLE}: {failed}",
            hint=f"delete it (nft delete table inet {TABLE}) and run the task again, which restores all of it",
        )

    def _look(self, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]]) -> Present:
        """What there is: of all ports, or of those that are wanted and that there were before.

        Who publishes has looked after the networks first: for ports alone it is enough to know whether there are any.
        Before the table goes with the last of its owners, everything is looked at.
        """
        bridges = [owner for owner, policy in wanted.items() if not isinstance(policy, tuple)]
        alone = before is not None and not bridges
        present = Present(PORTS_ALONE) if alone else self.observe(bridges)
        with Table(TABLE) as table:
            if alone:
                _list(present, table, OF_NETWORKS[:1])
            if before is None:
                _list(present, table, OF_PORTS)
            else:
                _find(present, table, [*wanted.items(), *before.items()])
        last = not any(wanted.values()) and not present.owners() - set(wanted)
        return self._look(wanted, None) if last and before is not None else present


def _keys(ports: Iterable[tuple[str, Policy]]) -> dict[tuple[str, str], None]:
    """Map and key of each published port, once."""
    rules = (rule for owner, policy in ports if isinstance(policy, tuple) for rule in rules_of(owner, policy))
    return {(rule.chain, rule.args[0]): None for rule in rules}


def _find(present: Present, table: Table, ports: Iterable[tuple[str, Policy]]) -> None:
    for name, key in _keys(ports):
        found = table.element(name, pack(key, KEYS[name]))
        if found is not None:
            _note(present, name, found)


def _list(present: Present, table: Table, names: Iterable[str]) -> None:
    for name in names:
        for element in table.elements(name):
            _note(present, name, element)


def _note(present: Present, name: str, element: Element) -> None:
    """What has no mark of ours is in the way, and goes."""
    owner = owner_of(element.comment)
    found = Found(element.comment if owner else "", owner or HOST, unpack(element.key, KEYS[name]))
    present.add((0, ELEMENT, name), found)


def _refuse_taken(present: Present, wanted: Mapping[str, Policy]) -> None:
    """Who publishes a port has claimed it before, in this state root; so who has it here is of another one."""
    others = present.owners() - set(wanted)
    theirs = {name: [each for each in present.rules.get((0, ELEMENT, name), ()) if each.owner in others]
              for name in OF_PORTS}  # fmt: skip
    for name, key in _keys(wanted.items()):
        for found in theirs[name]:
            if meet(pack(key, KEYS[name]), pack(found.line, KEYS[name]), KEYS[name]):
                raise Conflict(
                    f"cannot publish {key.split(' . ')[-1]}: container {found.owner[:12]} of another state root has it",
                    hint="publish another port, or remove that container",
                )


def _change(changes: list[Change], in_use: bool) -> str:
    """Do it; why it cannot be done, or nothing."""
    if in_use and all(change.place[1] == ELEMENT and change.place[2] in OF_PORTS for change in changes):
        try:
            with Table(TABLE) as table:
                table.exchange(map(_exchange, changes))
        except OSError as exc:
            return str(exc.strerror)
        return ""
    done = run([find("nft", PACKAGE), "-f", "-"], "".join(f"{line}\n" for line in script(changes, in_use)))
    return " ".join(done.errors.split()[:40]) if done.code else ""


def _exchange(change: Change) -> Exchange:
    """The same as in `script`, for the kernel."""
    name = change.place[2]
    return Exchange(
        name,
        name in WITH_RANGES,
        [pack(found.line, KEYS[name]) for found in change.gone],
        [_element_of(name, rule) for rule in change.come],
    )


def _element_of(name: str, rule: Rule) -> Element:
    key, *values = rule.args
    return Element(pack(key, KEYS[name]), rule.tag, *(pack(value, VALUES[name]).first for value in values))


def script(changes: list[Change], in_use: bool) -> Iterator[str]:
    """A transaction for `nft -f`. What leads to a chain goes before it, and comes after it."""
    if not in_use:
        yield f"delete table inet {TABLE}"
        return
    yield from _frame()
    chains = [change for change in changes if change.place[1] == "chain"]
    elements = [change for change in changes if change.place[1] == ELEMENT]
    yield from (_chain(change.place[2]) for change in chains if change.place[2] not in CHAINS)
    for change in elements:
        keys = ", ".join(found.line for found in change.gone)
        yield f"delete element inet {TABLE} {change.place[2]} {{ {keys} }}" if keys else ""
    for change in chains:
        yield f"flush chain inet {TABLE} {change.place[2]}"
        for rule in change.come:
            yield _rule(rule)
    for change in elements:
        whole = ", ".join(map(_element, change.come))
        yield f"add element inet {TABLE} {change.place[2]} {{ {whole} }}" if whole else ""
    yield from (f"delete chain inet {TABLE} {change.place[2]}" for change in chains if not change.come)


def whole() -> str:
    """A transaction that makes all that any network needs."""
    return "\n".join([*_frame(), *(_rule(rule) for rule in OF_HOST), ""])


def _frame() -> Iterator[str]:
    """The table, its sets and its chains; those that are there stay as they are."""
    yield f"add table inet {TABLE}"
    for name, types in KEYS.items():
        kind = "map" if name in VALUES else "set"
        value = f" : {' . '.join(VALUES[name])}" if name in VALUES else ""
        flags = " flags interval;" if name in WITH_RANGES else ""
        yield f"add {kind} inet {TABLE} {name} {{ type {' . '.join(types)}{value};{flags} }}"
    yield from map(_chain, CHAINS)


def _chain(name: str) -> str:
    hook = hook_of(name)
    return f"add chain inet {TABLE} {name}" + (f" {{ {hook} }}" if hook else "")


def _rule(rule: Rule) -> str:
    return f'add rule inet {TABLE} {rule.chain} {rule.args[0]} comment "{rule.tag}"'


def _element(rule: Rule) -> str:
    key, *value = rule.args
    return " : ".join([f'{key} comment "{rule.tag}"', *value])
