# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall driver for iptables, legacy or nft behind the same commands.

All rules are read by one `iptables-save` and changed by one `iptables-restore --noflush`, which applies a table as a
whole. Where another program changed the rules in between, the transaction is refused, and made anew from a new look.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ...core.errors import Busy, StepFailed
from ..command import Finished, find, run
from .changes import Edit, Present, edits, parse
from .rules import Rule

PACKAGE = "iptables"
LOCK_WAIT = 10
LOCK_FILE = "/run/xtables.lock"
LOCK_HELD = 4  # exit code of iptables when the wait for its lock is over
ATTEMPTS = 3


class Firewall(Protocol):
    """What every driver can do."""

    def observe(self) -> Present:
        """Our rules as they are in the kernel."""

    def apply(self, wanted: Mapping[str, Sequence[Rule]]) -> list[Edit]:
        """Make the rules of these owners exactly these, in one transaction; the edits that it took are returned."""


class Iptables:
    """Whichever variant the system's administrator chose: the commands have the same names."""

    def observe(self) -> Present:
        """One `iptables-save`."""
        done = run([find("iptables-save", PACKAGE)])
        if done.code:
            raise _failure("read the packet filter's rules", done)
        return parse(done.output)

    def apply(self, wanted: Mapping[str, Sequence[Rule]]) -> list[Edit]:
        """Observe, and change what differs. The caller holds the firewall's lock."""
        program = find("iptables-restore", PACKAGE)
        for attempt in range(1, ATTEMPTS + 1):
            changes = edits(self.observe(), wanted)
            if not changes:
                return []
            done = run([program, "--noflush", "-w", str(LOCK_WAIT)], transaction(changes))
            if done.code == 0:
                return changes
            if done.code == LOCK_HELD or attempt == ATTEMPTS:
                raise _failure("change the packet filter's rules", done)
        return []


def transaction(changes: Iterable[Edit]) -> str:
    """The edits, sorted by table, as the input of iptables-restore."""
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
