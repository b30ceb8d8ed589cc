# SPDX-License-Identifier: GPL-3.0-or-later
"""A further process in a running container, seen by its caller, who stays outside, whatever happens to it.

The way in is that of usher.py. The program runs once the caller knows of it: no process is in the container that nobody
waits for.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import Callable

from ..linux import libc
from ..linux.process import Process, exit_code
from . import confine, report
from .marks import BORN, GO, LISTENER, NUMBER
from .report import Report
from .usher import Visitor, enter

NOT_RUNNING = Report("join", 0, "", "the container is not running")
KILLED = Report("join", 0, "", "the process was killed before its program ran")


class Entry:
    """A process on its way in, seen by its caller: the usher is a child of the caller's, and so is who it makes."""

    def __init__(self, visitor: Visitor, target: int) -> None:
        """Send the usher. `target` is a pidfd of the container's first process."""
        visitor.target_fd = target
        self._process = visitor.process
        self._sync_fd, visitor.sync_fd = os.pipe()
        visitor.go_fd, self._go_fd = os.pipe()
        os.set_blocking(self._sync_fd, False)
        try:
            self.usher = os.fork()
            if self.usher == 0:
                os.close(self._go_fd)
                enter(visitor)
            self.usher_fd = libc.pidfd_open(self.usher)
        except OSError:
            os.close(self._sync_fd)
            os.close(self._go_fd)
            raise
        finally:
            os.close(visitor.sync_fd)
            os.close(visitor.go_fd)

    def wait(self) -> None:
        """Until `born` has an answer: the usher has said something, or it is dead."""
        poller = select.poll()
        poller.register(self._sync_fd, select.POLLIN)
        poller.register(self.usher_fd, select.POLLIN)
        poller.poll()

    def born(self) -> int | Report:
        """The process that the usher has made, which waits for us; or what failed. Does not wait itself."""
        return self._number(BORN)

    def listener(self) -> int | Report:
        """A copy of the descriptor that the usher has for the listener of its filter; or what failed."""
        number = self._number(LISTENER)
        return number if isinstance(number, Report) else libc.pidfd_getfd(self.usher_fd, number)

    def _number(self, mark: bytes) -> int | Report:
        """What the usher says with `mark`."""
        try:
            said = os.read(self._sync_fd, 1 + NUMBER.size)
        except BlockingIOError:
            return KILLED  # and who it may have made waits in vain
        if said[:1] == mark:
            return int(NUMBER.unpack(said[1:])[0])
        os.set_blocking(self._sync_fd, True)
        return report.parse(said + report.read_all(self._sync_fd)) if said else KILLED

    def let_go(self, pid: int) -> None:
        """Let its program run, with what only who is outside can give it; OSError if the kernel refuses that.

        It may be dead already: that shows when it is waited for.
        """
        with contextlib.suppress(ProcessLookupError):
            confine.set_scheduler(self._process, pid)
            self.go_on()

    def go_on(self) -> None:
        """Who waits for us may go on."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go_fd, GO)

    def problem(self) -> Report | None:
        """What failed inside; None once the program runs."""
        os.set_blocking(self._sync_fd, True)
        said = report.read_all(self._sync_fd)
        return report.parse(said) if said else None

    def close(self) -> None:
        """A process that was not let go ends."""
        for fd in (self.usher_fd, self._sync_fd, self._go_fd):
            os.close(fd)


HandOver = Callable[[int, int], None]
"""Gives the listener of a filter its end: the pid of who is under the filter, and the descriptor, which is closed."""


def begin(visitor: Visitor, target: Process, hand_over: HandOver | None = None) -> int | Report:
    """Start the process beside `target`: the pid of our child once its program runs, or what failed.

    A filter that leaves calls to a listener needs `hand_over`.

    Python reads files at any time: a traceback shows lines of source, decoded as they themselves ask for. A caller
    whose root was the container's would take the image's files for its own (CVE-2019-14271).
    """
    pidfd = target.open()
    if pidfd is None:
        return NOT_RUNNING
    try:
        entry = Entry(visitor, pidfd)
    except OSError as exc:
        return Report("fork", exc.errno or 0, "", "")
    finally:
        os.close(pidfd)
    try:
        born = _born(entry, hand_over if visitor.filter and visitor.filter.listens else None)
        failed = born if isinstance(born, Report) else _release(entry, born)
    finally:
        entry.close()
        os.waitpid(entry.usher, 0)
    if failed is None:
        return born
    if isinstance(born, int):
        os.waitpid(born, 0)
    return NOT_RUNNING if target.ending() else failed


def _born(entry: Entry, hand_over: HandOver | None) -> int | Report:
    """The process, once it is there. Before it comes, the listener has to be."""
    if hand_over:
        entry.wait()
        fd = entry.listener()
        if isinstance(fd, Report):
            return fd
        hand_over(entry.usher, fd)
        entry.go_on()
    entry.wait()
    return entry.born()


def _release(entry: Entry, pid: int) -> Report | None:
    try:
        entry.let_go(pid)
    except OSError as exc:
        return report.of("scheduler", exc)
    return entry.problem()


def wait(pid: int) -> int:
    """How the process ended: its exit code, or 128 and the number of the signal that ended it."""
    return exit_code(os.waitpid(pid, 0)[1])
