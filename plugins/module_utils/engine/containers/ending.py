# SPDX-License-Identifier: GPL-3.0-or-later
"""How a container's last run went, and what the restart policy makes of that when the host comes up.

`always` brings back what was ever started, stopped by hand or not; `unless-stopped` what was not; `on-failure` what did
not end well: a power cut counts as a failure, a stop by hand does not (moby: daemon/daemon.go `restore`,
internal/restartmanager, where the exit code of a process that nobody saw end is 255).
"""

from __future__ import annotations

from typing import Any

from ...core.paths import Paths
from ...linux.process import boot_id
from ...runtime import restart, state
from .living import live_process, restarting, settled
from .record import STARTED, ContainerRecord

UNKNOWN = 255


def last_run(paths: Paths, record: ContainerRecord) -> dict[str, Any]:
    """The state of this boot's run, or how an earlier one ended; empty for a container that was never started."""
    found = settled(paths.run_state(record.id)) or state.read(paths.exit(record.id))
    if not found and record.wanted:
        return {"status": state.EXITED}
    return found


def is_over(paths: Paths, record: ContainerRecord) -> bool:
    """Whether the container ran, and does not run any more."""
    found = last_run(paths, record)
    return bool(found) and live_process(found) is None and not restarting(found)


def is_due(paths: Paths, record: ContainerRecord) -> bool:
    """Whether a container that is down is to be started without being asked."""
    found = last_run(paths, record)
    if _of_this_boot(found) and (found.get("status") == state.EXITED or restart.stopped(paths.run_state(record.id))):
        return False
    if record.wanted != STARTED and not (record.wanted and record.spec.restart_policy == "always"):
        return False
    policy = restart.Policy(record.spec.restart_policy, record.spec.restart_retries)
    return restart.wanted(policy, found.get("exit_code", UNKNOWN), found.get("restart_count", 0))


def _of_this_boot(found: dict[str, Any]) -> bool:
    monitor = state.process(found, "monitor")
    return monitor is not None and monitor.boot_id == boot_id()
