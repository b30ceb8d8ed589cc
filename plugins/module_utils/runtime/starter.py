# SPDX-License-Identifier: GPL-3.0-or-later
"""A life of a container, begun by a process between its monitor and its first process.

A start makes use of most of our code and of the whole bundle, and every page of memory that it touches becomes a copy,
which the monitor would keep instead of sharing it with its siblings. So the work is a child's. It forks the first
process, tells the monitor all about it, and ends; the orphan becomes the monitor's (PR_SET_CHILD_SUBREAPER).
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
from typing import Any, NamedTuple, NoReturn

from ..linux import libc
from ..linux.cgroups.detect import Hierarchies, open_cgroup
from . import confine, init, log, marks, report, rootfs, spawn, state
from .bundle import ANNOTATION_STATE, Bundle
from .filters import Filter
from .outlets import Outlets
from .report import Report

KILLED = Report("monitor", 0, "", "the process that starts the container was killed")


class Order(NamedTuple):
    """What is to be started: the bundle, of which `known` was known in its former life.

    `mounts` is the host's mount namespace. Without a former life the cgroup is to be made as well.
    """

    bundle: Bundle
    filter: Filter | None
    groups: Hierarchies
    mounts: int
    outlets: Outlets
    known: dict[str, Any]


class Starter:
    """The process, seen from the monitor: at work from its making on."""

    def __init__(self, order: Order) -> None:
        libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
        self._answers, answer_fd = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _main(order, answer_fd, parent)
        os.close(answer_fd)
        order.outlets.forked()

    def outcome(self) -> dict[str, Any] | Report:
        """Wait until the program runs: its state, as it is written down.

        Or what failed, and nothing is left of it; `KILLED` if we are not told.
        """
        answer = report.read_all(self._answers)
        os.close(self._answers)
        # From our own code, in the same interpreter.
        failed, begun = marshal.loads(answer) if answer else (None, KILLED)
        return Report(*failed) if failed else begun

    def bury(self) -> None:
        """With the end of the process, which takes a moment, the program is our child. Whatever is orphaned from then
        on is somebody else's."""
        if self._pid:
            os.waitpid(self._pid, 0)
            libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 0)
            self._pid = 0


def _main(order: Order, answer_fd: int, monitor: int) -> NoReturn:
    try:
        confine.die_with(monitor)
        done = _run(order, monitor)
        told: Any = (tuple(done), {}) if isinstance(done, Report) else (None, done)
        os.write(answer_fd, marshal.dumps(told))
        os.close(answer_fd)  # the monitor goes on; it takes a while to be gone
    finally:
        os._exit(0)


def _run(order: Order, monitor: int) -> dict[str, Any] | Report:
    """Never raises: what goes wrong is a report."""
    try:
        work = _Start(order, monitor)
    except (OSError, ValueError) as exc:
        return report.of("bundle", exc)
    done: dict[str, Any] | Report
    try:
        done = work.run()
    except BaseException as exc:
        done = report.of("cgroup", exc)
    if isinstance(done, Report):
        work.abandon()
    return done


class _Start:
    """The work."""

    def __init__(self, order: Order, monitor: int) -> None:
        self._order = order
        self._monitor = monitor
        self._bundle = order.bundle.current()
        self._cgroup = open_cgroup(self._bundle.cgroup_path, order.groups)
        self._pid = 0

    def run(self) -> dict[str, Any] | Report:
        """From the cgroup to the program."""
        if not self._order.known:
            self._cgroup.create(self._bundle.resources)
        child = init.Child(self._bundle, self._order.filter, self._order.groups, self._cgroup.join_files())
        child.stdio, child.console_fd = self._order.outlets.stdio, self._order.outlets.console_fd
        child.host_fd = self._order.mounts if rootfs.shares(self._bundle) else -1
        birth = spawn.spawn(child)
        self._pid = birth.pid
        # While it is on its way:
        known = self._introduce(birth)
        try:
            log.of(self._bundle).open()
        except OSError as exc:
            return report.of("log", exc)
        return birth.expect(marks.READY) or self._release(birth, known)

    def _introduce(self, birth: spawn.Birth) -> dict[str, Any]:
        """Who the child is, and who watches it."""
        return {
            "status": state.RUNNING,
            "init": state.describe(birth.pid),
            "monitor": state.describe(self._monitor),
            "bundle": self._bundle.stamp,
            "streams": self._order.outlets.identities(),
            "started_at": "",
            "restart_count": self._order.known.get("restart_count", 0),
            "oom_kills": self._order.known.get("oom_kills", 0),
            "health": None,
        }

    def _release(self, birth: spawn.Birth, known: dict[str, Any]) -> dict[str, Any] | Report:
        """Write that down, let the child go, and see whether its program starts."""
        known["started_at"] = state.now()
        state.write(self._bundle.annotation(ANNOTATION_STATE), known)
        birth.let_go()
        return birth.problem() or known

    def abandon(self) -> None:
        """End a child that did not become the container's program, and undo the rest if there was nothing before."""
        if self._pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if not self._order.known:
            with contextlib.suppress(OSError):
                self._cgroup.remove()
            with contextlib.suppress(OSError):
                os.unlink(self._bundle.annotation(ANNOTATION_STATE))
