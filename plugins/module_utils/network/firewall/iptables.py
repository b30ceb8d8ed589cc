# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall driver for iptables and ip6tables, legacy or nft behind the same commands.

All rules of a family are read by one `iptables-save` and changed by one `iptables-restore --noflush`, which applies a
table as a whole. Where another program changed the rules in between, the transaction is refused, and made anew from a
new look.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, NamedTuple, Optional

from ...core.errors import Busy, StepFailed
from ..command import Finished, find, run
from . import xtables
from .changes import Change, Dialect, Found, Present, planned
from .rules import ATTEMPTS, TAG, Policy, Rule, owner_of

PACKAGE = "iptables"
LOCK_WAIT = 10
LOCK_FILE = "/run/xtables.lock"
LOCK_HELD = 4  # exit code of iptables when the wait for its lock is over
_COMMENT = re.compile(r'--comment "?([^\s"]+)"?(?:\s|$)')


class Vocabulary(NamedTuple):
    """What is said in iptables: our chains, by family what all need and what one owner needs, and how it is marked."""

    chains: tuple[tuple[str, str], ...]
    of_host: Callable[[int], tuple[Rule, ...]]
    rules_of: Callable[[str, Policy, int], tuple[Rule, ...]]
    mark: str = TAG


WORDS = Vocabulary(xtables.CHAINS, xtables.of_host, xtables.rules_of)


class Edit(NamedTuple):
    """One line of a transaction. `verb` is `-N`, `-A`, `-I`, `-D`, `-F` or `-X`; `rule` is new, `line` is present."""

    family: int
    table: str
    verb: str
    chain: str
    rule: Optional[Rule] = None
    line: str = ""


class Iptables:
    """`backend` is `nft` or `legacy`, or empty for whichever the administrator chose; `families` are those in use."""

    looks_up = False

    def __init__(self, backend: str = "", families: Iterable[int] = (4,), vocabulary: Vocabulary = WORDS) -> None:
        self.backend = backend
        self.families = tuple(families)
        self.vocabulary = vocabulary
        host = tuple(rule for family in self.families for rule in vocabulary.of_host(family))
        self.dialect = Dialect(f"iptables-{backend}" if backend else "iptables", host, self._rules_of)

    def _rules_of(self, owner: str, policy: Policy) -> tuple[Rule, ...]:
        return tuple(rule for family in self.families for rule in self.vocabulary.rules_of(owner, policy, family))

    def observe(self, bridges: Iterable[str] = ()) -> Present:
        """One `iptables-save` a family; everybody's rules are in it."""
        present = Present(self.dialect)
        for family in self.families:
            done = run([self._program(family, "save")])
            if done.code:
                raise _failure("read the packet filter's rules", done)
            parse(done.output, family, present, self.vocabulary.mark)
        return present

    def look_up(self, ports: Iterable[tuple[str, Policy]]) -> Present:
        """There is no way to ask for less."""
        return self.observe()

    def apply(self, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]] = None) -> bool:
        """Observe, and change what differs. The caller holds the firewall's lock; whether there was anything to do."""
        for attempt in range(1, ATTEMPTS + 1):
            changes = edits(self.observe(), wanted, self.vocabulary.chains)
            if not changes:
                return attempt > 1
            done = self._restore(changes)
            if done.code == 0:
                return True
            if done.code == LOCK_HELD or attempt == ATTEMPTS:
                raise _failure("change the packet filter's rules", done)
        return True

    def _restore(self, changes: list[Edit]) -> Finished:
        done = Finished(0, "", "")
        for family in self.families:
            mine = [edit for edit in changes if edit.family == family]
            if mine and done.code == 0:
                done = run([self._program(family, "restore"), "--noflush", "-w", str(LOCK_WAIT)], transaction(mine))
        return done

    def _program(self, family: int, verb: str) -> str:
        """`iptables-save`, `ip6tables-legacy-restore`."""
        name = "iptables" if family == 4 else "ip6tables"
        return find("-".join(filter(None, (name, self.backend, verb))), PACKAGE)


def parse(listing: str, family: int, present: Present, mark: str = TAG) -> None:
    """Read the output of `iptables-save`."""
    table = ""
    for text in listing.splitlines():
        if text.startswith("*"):
            table = text[1:].strip()
        elif text.startswith(":MINI-"):
            present.chains.add((family, table, text[1:].split(" ", 1)[0]))
        elif text.startswith("-A ") and TAG in text:
            _verb, chain, line = text.split(" ", 2)
            match = _COMMENT.search(line)
            owner = owner_of(match[1], mark) if match else ""
            if match and owner:
                present.add((family, table, chain), Found(match[1], owner, line))


def edits(
    present: Present, wanted: Mapping[str, Policy], chains: tuple[tuple[str, str], ...] = xtables.CHAINS
) -> list[Edit]:
    """What makes the rules of each owner in `wanted` those of its policy. Rules of other owners stay as they are."""
    in_use, changes = planned(present, wanted)
    families = dict.fromkeys(rule.family for rule in present.dialect.host)
    places = [(family, *chain) for family in families for chain in chains]
    result = [Edit(*place[:2], "-N", place[2]) for place in places if in_use and place not in present.chains]
    for change in changes:
        result += _regroup(change)
    if not in_use:
        # All are emptied before any is deleted, because a chain that is jumped to cannot go.
        gone = [place for place in places if place in present.chains]
        result += [Edit(*place[:2], verb, place[2]) for verb in ("-F", "-X") for place in gone]
    tables = list(dict.fromkeys(table for table, _chain in chains))
    return sorted(result, key=lambda edit: (edit.family, tables.index(edit.table)))


def _regroup(change: Change) -> Iterator[Edit]:
    family, table, chain = change.place
    for found in change.gone:
        yield Edit(family, table, "-D", chain, line=found.line)
    # Each that is to come first is put before those that are there: the last of them begins.
    for rule in reversed([rule for rule in change.come if rule.first]):
        yield Edit(family, table, "-I", chain, rule=rule)
    for rule in change.come:
        if not rule.first:
            yield Edit(family, table, "-A", chain, rule=rule)


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
    if edit.rule is None:
        return f"{edit.verb} {edit.chain} {edit.line}".rstrip()
    # Names, addresses and ports only: nothing in a rule of ours needs quotes.
    return " ".join([edit.verb, edit.chain, *edit.rule.args, "-m", "comment", "--comment", edit.rule.tag])


def _failure(what: str, done: Finished) -> Exception:
    reason = " ".join(done.errors.split()) or f"exit code {done.code}"
    if done.code == LOCK_HELD:
        holder = lock_holder(LOCK_FILE)
        return Busy(
            f"cannot {what}: the xtables lock ({LOCK_FILE}) is held by {holder} for more than {LOCK_WAIT} s",
            hint="wait for that program, or end it if it hangs",
        )
    return StepFailed(f"cannot {what}: {reason}")


def lock_holder(path: str) -> str:
    """The process that holds a flock on `path`, from /proc/locks."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks", encoding="ascii") as handle:
            for line in handle:
                fields = line.split()
                if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
                    return f"process {fields[4]}"
    except (OSError, IndexError):
        pass
    return "another program"
