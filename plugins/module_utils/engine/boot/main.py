# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd, or a person, calls: `python3 -I <state root>/runtime/boot VERB [STATE ROOT …]`.

* `reconcile`: bring up what should be up (see reconcile.py)
* `shut-down`: stop what runs, if the host is going down; otherwise do nothing
* `farewell STATE-ROOT RUN-ROOT ID`: a container that is to leave nothing has ended (see containers/farewell.py)

A line on standard error for each step; the exit code is 1 when something could not be done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

from ...core.paths import DEFAULT_STATE_ROOT, Paths
from ..containers import farewell
from .reconcile import Result, reconcile, shut_down
from .systemd import going_down

USAGE = "usage: python3 -I <state root>/runtime/boot reconcile|shut-down [STATE ROOT …]"


def main() -> NoReturn:
    """Serve the command line."""
    verb, *roots = sys.argv[1:] or ["help"]
    if verb == "farewell":
        state_root, run_root, container_id = roots
        farewell.remove(Paths(state_root, run_root), container_id)
        raise SystemExit(0)
    if verb not in ("reconcile", "shut-down"):
        raise SystemExit(USAGE)
    raise SystemExit(run(verb, roots or [DEFAULT_STATE_ROOT]))


def run(verb: str, roots: Iterable[str]) -> int:
    """The exit code."""
    failed = 0
    for root in roots:
        paths = Paths(root)
        if verb == "reconcile":
            failed += sum(map(_tell, reconcile(paths)))
        elif going_down():
            failed += sum(map(_tell, shut_down(paths)))
    return 1 if failed else 0


def _tell(result: Result) -> bool:
    """Say what was done; whether it failed."""
    for line in result.done:
        sys.stderr.write(f"{result.what}: {line}\n")
    if result.error:
        sys.stderr.write(f"{result.what} FAILED: {result.error}\n")
    return bool(result.error)
