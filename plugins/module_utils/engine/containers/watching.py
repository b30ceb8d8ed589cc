# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does with a container's monitor, and with its freezer."""

from __future__ import annotations

import signal
import time

from ...core.errors import StepFailed
from ...core.paths import Paths
from ...linux.cgroups.detect import open_cgroup
from ...runtime import state
from .. import runtime
from . import bundle, vitals
from .record import ContainerRecord

PATIENCE = 30.0


def adopt(paths: Paths, record: ContainerRecord, lock: int) -> None:
    """Give the container a new monitor."""
    (failed,) = runtime.adopt(paths, [record.id], [lock])
    if failed:
        failed.message = f"cannot watch {record.name}: {failed.message}"
        raise failed


def reload(paths: Paths, record: ContainerRecord) -> None:
    """Tell the monitor to read the bundle again, and wait until it has. One that is dead is replaced by the next."""
    path = paths.run_state(record.id)
    monitor = state.process(state.read(path), "monitor")
    if monitor is None or not monitor.signal(signal.SIGHUP):
        return
    wanted = vitals.stamp(paths, record.id)
    deadline = time.monotonic() + PATIENCE
    while state.read(path).get("bundle") != wanted and monitor.alive():
        if time.monotonic() > deadline:
            raise StepFailed(f"the monitor of {record.name} (process {monitor.pid}) does not answer", step="reload")
        time.sleep(0.005)


def freeze(record: ContainerRecord, *, frozen: bool) -> None:
    """Stop all processes where they are, or let them go on."""
    open_cgroup(bundle.cgroup_path(record.id, record.spec.cgroup_parent)).freeze(frozen=frozen)
