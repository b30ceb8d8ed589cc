# SPDX-License-Identifier: GPL-3.0-or-later
"""When a container that has ended is started again: Docker's policies and its back-off.

The pause begins at 100 ms and doubles up to a minute; a run of ten seconds or more begins it anew (moby:
daemon/internal/restartmanager). `always` and `unless-stopped` differ only at boot. A stop by hand is a file that the
engine puts beside the state, so that it holds whoever is asked first.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 60.0
GOOD_RUN = 10.0
STOP_FILE = "stop"


class Policy(NamedTuple):
    """`retries` counts for `on-failure` alone; 0 is no limit."""

    name: str
    retries: int = 0


def parse(text: str) -> Policy:
    """`always`, `unless-stopped`, `on-failure`, `on-failure:5`, `no`."""
    name, _colon, retries = text.partition(":")
    return Policy(name or "no", int(retries or 0))


def wanted(policy: Policy, exit_code: int | None, restarts: int) -> bool:
    """Whether a container that ended so, after so many restarts, is started again. An unknown end is no success."""
    if policy.name == "on-failure":
        return exit_code != 0 and (not policy.retries or restarts < policy.retries)
    return policy.name in ("always", "unless-stopped")


def stopped(state_path: str) -> bool:
    """Whether somebody wants the container to stay down."""
    return os.path.exists(os.path.join(os.path.dirname(state_path), STOP_FILE))


class Backoff:
    """The growing pause between two tries."""

    def __init__(self) -> None:
        self._pause = 0.0
        self._begun = time.monotonic()

    def started(self) -> None:
        """A try begins now."""
        self._begun = time.monotonic()

    def pause(self) -> float:
        """Seconds to wait before the next try."""
        long_run = time.monotonic() - self._begun >= GOOD_RUN
        self._pause = FIRST_PAUSE if long_run or not self._pause else min(self._pause * 2, LONGEST_PAUSE)
        return self._pause
