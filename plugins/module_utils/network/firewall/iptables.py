# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall driver for iptables and ip6tables, legacy or nft behind the same commands.

All rules of a family are read by one `iptables-save` and changed by one `iptables-restore --noflush`, which applies a
table as a whole. Where another program changed the rules in between, the transaction is refused, and made anew from a
new look.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Callable, NamedTuple, Optional

from ...core.errors import Busy, MiniError, StepFailed
from ..command import Finished, find, run
from . import xtables
from .changes import Dialect, Found, Present
from .restore import Edit, back, edits, transaction
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
        """Observe, and change what differs. The caller holds the firewall's lock; whether there was anything to do.

        The kernel takes each family, and of legacy each table, by itself. When one is refused, those before it are
        taken back: nobody is left with half of what he needs.
        """
        present = at_first = self.observe()
        for attempt in range(1, ATTEMPTS + 1):
            changes = edits(present, wanted, self.vocabulary.chains)
            if not changes:
                return attempt > 1
            done = self._restore(changes)
            if done.code == 0:
                return True
            if done.code == LOCK_HELD:
                break
            present = self.observe()
        failure = _failure("change the packet filter's rules", done)
        failure.message += self._take_back(at_first)
        raise failure

    def _take_back(self, before: Present) -> str:
        """Our rules are as they were; else what to add to the reason why they were changed."""
        undone = self._restore(back(self.observe(), before, self.vocabulary.chains))
        return f"; what was changed before that could not be taken back: {_reason(undone)}" if undone.code else ""

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


def _failure(what: str, done: Finished) -> MiniError:
    if done.code == LOCK_HELD:
        holder = lock_holder(LOCK_FILE)
        return Busy(
            f"cannot {what}: the xtables lock ({LOCK_FILE}) is held by {holder} for more than {LOCK_WAIT} s",
            hint="wait for that program, or end it if it hangs",
        )
    return StepFailed(f"cannot {what}: {_reason(done)}")


def _reason(done: Finished) -> str:
    return " ".join(done.errors.split()) or f"exit code {done.code}"


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
