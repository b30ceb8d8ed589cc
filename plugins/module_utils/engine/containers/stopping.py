# SPDX-License-Identifier: GPL-3.0-or-later
"""How a container's processes come to their end: asked first, then killed, and gone when the call returns."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial
from typing import Any

from ...core.errors import BadInput, StepFailed
from ...core.paths import Paths
from ...linux.cgroups.detect import open_cgroup
from ...linux.cgroups.monitors import monitors
from ...linux.files import write_atomic
from ...linux.process import Process, exit_code, exit_status
from ...linux.signals import signal_number
from ...runtime import state
from ...runtime.restart import STOP_FILE
from .. import reserve
from . import bundle
from .living import MONITOR_PATIENCE, live_process, restarting, settled
from .record import ContainerRecord

KILL_PATIENCE = 30.0


def end(paths: Paths, record: ContainerRecord, *, kill: bool, kill_signal: str = "") -> None:
    """End the first process, and with it its pid namespace; wait for the monitor to write down how.

    With `kill` it is not asked first; with `kill_signal` it is asked by that.
    """
    found = _hold_down(paths, record.id)
    init = live_process(found)
    pidfd = init.open() if init else None
    if init is not None:
        number = _signal(kill_signal or record.spec.stop_signal, record.image_config.stop_signal)
        _thaw(record.id, record.spec.cgroup_parent)
        if (kill and not kill_signal) or not (init.signal(number) and init.wait(record.spec.stop_timeout)):
            _kill(init, record.name)
    _wait_for_monitor(found)
    if init is not None and pidfd is not None:
        _write_down(paths, record.id, init, pidfd)


def _signal(asked: str, of_image: str) -> int:
    """The signal that asks it to end. An image that names one which does not exist names none, as in Docker."""
    with contextlib.suppress(BadInput):
        return signal_number(asked or of_image)
    return signal_number(asked)


def kill_all(paths: Paths, container_id: str, cgroup_parent: str = "") -> None:
    """End whatever runs of a container, its record readable or not, and remove its cgroup.

    A parent that the task names stays: who made it, and what limits it, is not known here.
    """
    found = _hold_down(paths, container_id)
    init = live_process(found)
    _thaw(container_id, cgroup_parent)
    if init is not None:
        _kill(init, container_id[:12])
    _wait_for_monitor(found)
    cgroup = open_cgroup(bundle.cgroup_path(container_id, cgroup_parent))
    for pid in cgroup.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cgroup.remove()
    monitors().remove_if_empty()
    open_cgroup(bundle.CGROUP_PARENT).remove_if_empty()


def _hold_down(paths: Paths, container_id: str) -> dict[str, Any]:
    """Tell the monitor that nobody is to be started again; the state from then on."""
    path = paths.run_state(container_id)
    if os.path.isdir(os.path.dirname(path)):
        write_atomic(paths.run(container_id, STOP_FILE), b"", durable=False)
    found = settled(path)
    monitor = state.process(found, "monitor")
    if restarting(found) and monitor is not None:
        # It sleeps until the next life, up to a minute, and has nothing left to do.
        monitor.signal(signal.SIGTERM)
        monitor.wait(MONITOR_PATIENCE)
    return state.read(path)


def _thaw(container_id: str, cgroup_parent: str) -> None:
    """Who is frozen hears no signal; and with cgroup v1 not even SIGKILL reaches it."""
    cgroup = open_cgroup(bundle.cgroup_path(container_id, cgroup_parent))
    if cgroup.frozen():
        cgroup.freeze(frozen=False)


def _write_down(paths: Paths, container_id: str, init: Process, pidfd: int) -> None:
    """How the container ended, where there was no monitor to do it."""
    found = state.read(paths.run_state(container_id))
    try:
        if state.process(found) == init and found.get("status") == state.RUNNING:
            status = exit_status(init, pidfd)
            code = None if status is None else exit_code(status)
            found = {**found, "status": state.EXITED, "exit_code": code, "finished_at": state.now()}
            reserve.in_need(paths, partial(state.write, paths.run_state(container_id), found))
            reserve.in_need(paths, partial(state.write, paths.exit(container_id), found, durable=True))
    finally:
        os.close(pidfd)


def _kill(init: Process, name: str) -> None:
    init.signal(signal.SIGKILL)
    if not init.wait(KILL_PATIENCE):
        raise StepFailed(f"process {init.pid} of {name} does not end, even by SIGKILL", step="stop")


def _wait_for_monitor(found: dict[str, Any]) -> None:
    monitor = state.process(found, "monitor")
    if monitor is not None:
        monitor.wait(MONITOR_PATIENCE)
