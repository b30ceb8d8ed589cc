# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container lives: its monitor's word, checked with the kernel."""

from __future__ import annotations

from typing import Any, Optional

from ...linux.process import Process
from ...runtime import state


def live_process(found: dict[str, Any]) -> Optional[Process]:
    """The container's first process, when it runs."""
    init = state.process(found)
    return init if init is not None and init.alive() else None


def restarting(found: dict[str, Any]) -> bool:
    """Whether the container is down only until its monitor starts it again."""
    monitor = state.process(found, "monitor")
    return found.get("status") == state.RESTARTING and monitor is not None and monitor.alive()
