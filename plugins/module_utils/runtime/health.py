# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks: when one is due, and what their results say of the container (moby: daemon/health.go).

The first probe comes one interval after the start. While the start period lasts and none has succeeded yet, the start
interval counts, and failures do not. All times are of the monotonic clock: a clock that is set changes nothing.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

STARTING = "starting"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"
MAX_RESULTS = 5
MAX_OUTPUT = 4096
NO_RESULT = -1  # the exit code of a probe that was killed, or that could not be started


class Check(NamedTuple):
    """What is run, and when; times in seconds."""

    args: list[str]
    interval: float
    timeout: float
    start_period: float
    start_interval: float
    retries: int


class Result(NamedTuple):
    """One probe. The times are those of the host's clock, for people."""

    start: str
    end: str
    exit_code: int
    output: str


def parse(text: str) -> Check | None:
    """The check of a bundle's annotation; None when there is none."""
    return Check(**json.loads(text)) if text else None


class Health:
    """What is known of the container's health. `born` is when it was started, on the caller's monotonic clock."""

    def __init__(self, check: Check, born: float, now: float, known: dict[str, Any] | None = None) -> None:
        known = known or {}
        self.check = check
        self.status = str(known.get("status", STARTING))
        self._born = born
        self._streak = int(known.get("failing_streak", 0))
        self._log = list(known.get("log", ()))
        self.due = now + self._pause(now)

    def _pause(self, now: float) -> float:
        return self.check.start_interval if self._beginning(now) else self.check.interval

    def _beginning(self, moment: float) -> bool:
        return self.status == STARTING and moment - self._born < self.check.start_period

    def postpone(self, now: float) -> None:
        """No probe this time: a container that is paused has no health."""
        self.due = now + self._pause(now)

    def judge(self, result: Result, began: float, now: float) -> None:
        """Take a result into account; `began` is when its probe did."""
        self._log = [*self._log, result._asdict()][-MAX_RESULTS:]
        if result.exit_code == 0:
            self.status, self._streak = HEALTHY, 0
        elif not self._beginning(began):
            self._streak += 1
            if self._streak >= self.check.retries:
                self.status = UNHEALTHY
        self.due = now + self._pause(now)

    def describe(self) -> dict[str, Any]:
        """As it is written into the state."""
        return {"status": self.status, "failing_streak": self._streak, "log": self._log}
