# SPDX-License-Identifier: GPL-3.0-or-later
"""The birth of a container's first process, seen from its parent: the monitor, or the command.

The child goes through the steps of init.py. Through one pipe it tells where it is: a mark of one byte and waits, or a
report of what failed, or nothing, when the pipe ends with its exec. Through the other it is told to go on.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..linux import libc
from ..linux.files import write_kernel
from . import confine, init, marks, report
from .bundle import OF_CHILDREN, Bundle
from .report import Report

_NAMES = {libc.CLONE_NEWPID: "pid", libc.CLONE_NEWTIME: "time"}


class Birth(NamedTuple):
    """A child on its way, and our ends of the pipes."""

    pid: int
    sync_fd: int
    go_fd: int

    def expect(self, mark: bytes) -> Report | None:
        """Wait until the child is where it says `mark`; what failed, if it does not get there."""
        first = os.read(self.sync_fd, 1)
        if first == mark:
            return None
        return self._over(report.parse(first + report.read_all(self.sync_fd)))

    def take_listener(self) -> int:
        """Our copy of the descriptor that the child has for the listener of its filter, once it is at that mark."""
        (number,) = marks.NUMBER.unpack(os.read(self.sync_fd, marks.NUMBER.size))
        pidfd = libc.pidfd_open(self.pid)
        try:
            return libc.pidfd_getfd(pidfd, number)
        finally:
            os.close(pidfd)

    def let_go(self) -> None:
        """The child may go on."""
        os.write(self.go_fd, marks.GO)

    def problem(self) -> Report | None:
        """What failed on the last way, None when the program runs or somebody else is to start it."""
        problem = report.read_all(self.sync_fd)
        return self._over(report.parse(problem) if problem else None)

    def _over(self, found: Report | None) -> Report | None:
        os.close(self.sync_fd)
        os.close(self.go_fd)
        return found


def spawn(child: init.Child) -> Birth:
    """Fork the child into its namespaces; it begins at once and is killed if we die before it is let go."""
    sync_read, child.sync_fd = os.pipe()
    child.go_fd, go_write = os.pipe()
    parent = os.getpid()
    pid = _fork(child.bundle)
    if pid == 0:
        os.setsid()
        # Across a pid namespace the parent's pid reads as 0.
        confine.die_with(0 if child.bundle.owns(libc.CLONE_NEWPID) else parent)
        init.run(child)
    os.close(child.sync_fd)
    os.close(child.go_fd)
    return Birth(pid, sync_read, go_write)


def _fork(bundle: Bundle) -> int:
    """A child that is born into the pid and time namespaces of the bundle.

    unshare(2) and setns(2) change where children are born, not the caller; setns(2) to the own namespace ends that.
    """
    wanted = [(flag, path) for flag, path in bundle.namespaces() if flag & OF_CHILDREN]
    flags = os.O_RDONLY | os.O_CLOEXEC
    own = [(os.open(f"/proc/self/ns/{_NAMES[flag]}", flags), flag) for flag, _path in wanted]
    for flag, path in wanted:
        if path:
            fd = os.open(path, flags)
            libc.setns(fd, flag)
            os.close(fd)
        else:
            libc.unshare(flag)
    _shift_clocks(bundle)
    pid = os.fork()
    for fd, flag in own:
        if pid:
            libc.setns(fd, flag)
        os.close(fd)
    return pid


def _shift_clocks(bundle: Bundle) -> None:
    """The clocks of a new time namespace, before anything lives in it (time_namespaces(7))."""
    if bundle.makes(libc.CLONE_NEWTIME):
        for clock, offset in (bundle.linux.get("timeOffsets") or {}).items():
            line = f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}"
            write_kernel("/proc/self/timens_offsets", line)
