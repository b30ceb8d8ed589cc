# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals for a container, and what is taken away when it is over."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal

from ...core.errors import Conflict, MiniError, NotFound
from ...linux.signals import signal_number
from .. import hooks
from ..report import StepError
from . import config
from .log import warn
from .store import CONFIG, CREATED, STOPPED, Container, find, wait_until

PATIENCE = 60.0  # who reaps the orphans of a container may take its time: it is the first process of the host


def kill(options: argparse.Namespace) -> None:
    """A signal for the first process, or for all."""
    container = find(options.root, options.id)
    number = 0 if options.signal == "0" else signal_number(options.signal)  # 0 only asks (kill(2))
    if options.all:
        _signal_all(container, number)
        return
    process = container.process
    reached = process is not None and process.signal(number)
    if number == signal.SIGKILL:
        if not config.owns_pids(container.bundle):
            reached = bool(_signal_all(container, number)) or reached
        _thaw(container)
    if not reached:
        raise Conflict(f"container not running: {container.id}")


def delete(options: argparse.Namespace) -> None:
    """Forget a container that is over; with `--force` see to it that it is, and forgive one that is not there."""
    try:
        container = find(options.root, options.id)
    except NotFound:
        if not options.force:
            raise
        Container(options.root, options.id).forget()
        return
    status = container.status()
    if status not in (STOPPED, CREATED) and not options.force:
        raise Conflict(f"cannot delete container {container.id} that is not stopped: {status}")
    remove(container, force=status != STOPPED)


def remove(container: Container, *, force: bool) -> None:
    """End what runs, then undo what the creation did."""
    process = container.process
    if force and process is not None:
        process.signal(signal.SIGKILL)
    if os.path.exists(container.path(CONFIG)):
        bundle = container.bundle
        cgroup = container.cgroup
        _thaw(container)
        if process is not None and not wait_until(lambda: not process.alive(), PATIENCE):
            raise Conflict(f"process {process.pid} of {container.id} does not end, even by SIGKILL")
        # A first process that has no pid namespace of its own does not take the others with it.
        wait_until(lambda: not _signal_all(container, signal.SIGKILL), PATIENCE)
        cgroup.remove()
        with contextlib.suppress(OSError):
            if os.path.dirname(bundle.cgroup_path) == config.DEFAULT_PARENT:
                _remove_parent(container)
        _poststop(container)
    container.forget()


def _remove_parent(container: Container) -> None:
    """The place of containers without a cgroup of their own choice, when it is empty."""
    for directory in container.cgroup.directories:
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(directory))


def _poststop(container: Container) -> None:
    for hook in container.bundle.hooks.get("poststop") or ():
        try:
            told = json.dumps(container.told(STOPPED)).encode()
            hooks.run("poststop", [hook], told, container.bundle.directory)
        except StepError as exc:
            warn(f"warning: {exc.message}")


def _signal_all(container: Container, number: int) -> list[int]:
    """Signal every process in the cgroup; those that were there."""
    found = container.cgroup.processes()
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return found


def _thaw(container: Container) -> None:
    """A frozen process does not even die."""
    with contextlib.suppress(OSError, MiniError):
        if container.cgroup.frozen():
            container.cgroup.freeze(frozen=False)
