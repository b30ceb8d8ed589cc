# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container lives: its monitor's word, checked with the kernel."""

from __future__ import annotations

import time
from typing import Any, Optional

from ...linux.process import Process
from ...runtime import state

MONITOR_PATIENCE = 30.0  # seconds; a monitor that is not held up needs some milliseconds


def live_process(found: dict[str, Any]) -> Optional[Process]:
    """The container's first process, when it runs."""
    init = state.process(found)
    return init if init is not None and init.alive() else None


def settled(path: str) -> dict[str, Any]:
    """The state at `path`, which is that of a container: it lives, or its monitor has done what follows from its end.

    Between an end and the monitor's word on it the state names a first process that is dead. Who took that for all
    there is would start a second life beside the one that the monitor is about to begin, or have his own written over.
    """
    deadline = time.monotonic() + MONITOR_PATIENCE
    while True:
        found = state.read(path)
        monitor = state.process(found, "monitor")
        if monitor is None or live_process(found) or restarting(found):
            return found
        if monitor.wait(0.01):
            return state.read(path)
        if time.monotonic() > deadline:
            return found


def restarting(found: dict[str, Any]) -> bool:
    """Whether the container is down only until its monitor starts it again."""
    monitor = state.process(found, "monitor")
    return found.get("status") == state.RESTARTING and monitor is not None and monitor.alive()
