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
from . import bundle as bundles
from . import confine, init, report, rootfs, spawn, state
from .bundle import ANNOTATION_STATE
from .filters import Filter
from .outlets import Outlets
from .report import Report

KILLED = Report("monitor", 0, "", "the process that starts the container was killed")


class Order(NamedTuple):
    """What is to be started: the bundle in `directory`, of which `known` was known in its former life.

    `mounts` is the host's mount namespace. Without a former life the cgroup is to be made as well.
    """

    directory: str
    filter: Filter | None
    groups: Hierarchies
    mounts: int
    outlets: Outlets
    known: dict[str, Any]


def start(order: Order) -> dict[str, Any] | Report:
    """Have the program started, as a child of ours in the end: its state, as it is written down.

    Or what failed, and nothing is left of it; `KILLED` if we have not been told.
    """
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 1)
    answers, answer_fd = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _main(order, answer_fd, parent)
    os.close(answer_fd)
    order.outlets.forked()
    answer = report.read_all(answers)
    os.close(answers)
    os.waitpid(pid, 0)
    # Whatever is orphaned from now on is somebody else's.
    libc.prctl(libc.PR_SET_CHILD_SUBREAPER, 0)
    # From our own code, in the same interpreter.
    failed, begun = marshal.loads(answer) if answer else (None, KILLED)
    return Report(*failed) if failed else begun


def _main(order: Order, answer_fd: int, monitor: int) -> NoReturn:
    try:
        confine.die_with(monitor)
        done = _run(order, monitor)
        told: Any = (tuple(done), {}) if isinstance(done, Report) else (None, done)
        os.write(answer_fd, marshal.dumps(told))
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
        self._stamp = state.stamp(os.path.join(order.directory, bundles.CONFIG))
        self._bundle = bundles.load(order.directory)
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
        return birth.expect(init.READY) or self._release(birth)

    def _release(self, birth: spawn.Birth) -> dict[str, Any] | Report:
        """Write down who the child is, let it go, and see whether its program starts."""
        known = {
            "status": state.RUNNING,
            "init": state.describe(birth.pid),
            "monitor": state.describe(self._monitor),
            "bundle": self._stamp,
            "streams": self._order.outlets.identities(),
            "started_at": state.now(),
            "restart_count": self._order.known.get("restart_count", 0),
            "oom_kills": self._order.known.get("oom_kills", 0),
            "health": None,
        }
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
