# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a health check: a process in the container, as confined as its others, that ends in time.

It lives in a group of its own below the container's cgroup. Whatever it started is found there, wherever it has gone,
and ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from ..linux import libc
from ..linux.cgroups.detect import Cgroup
from ..linux.process import exit_code
from . import report, state
from .exec import Entry
from .health import MAX_OUTPUT, NO_RESULT, Result
from .report import Report
from .usher import Visitor

GROUP = "health"
CHUNK = 65536
ROUNDS = 50


def clear(cgroup: Cgroup) -> None:
    """End the probe of a monitor that was killed."""
    _end_all(cgroup.inner(GROUP))


def _end_all(group: Cgroup, pid: int = 0) -> None:
    """Kill `pid` and all that is in the group, until nothing is born there any more."""
    for _round in range(ROUNDS):
        pids = group.processes()
        for found in {pid, *pids} - {0}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found, signal.SIGKILL)
        if not pids:
            return
        time.sleep(0.001)


class Probe:
    """A probe that runs. `fds` are the descriptors to be polled; when one is ready, call `step`."""

    def __init__(self, visitor: Visitor, target: int, cgroup: Cgroup) -> None:
        """`target` is a pidfd of the container's first process."""
        self.began = time.monotonic()
        self._start = state.now()
        self._group = cgroup.inner(GROUP)
        self._output = b""
        self._failed: Report | None = None
        self._late = 0.0
        self._out, out_write = os.pipe()
        os.set_blocking(self._out, False)
        try:
            visitor.join_files = [*visitor.join_files, *self._group.join_files()]
            visitor.stdio = (-1, out_write, out_write)
            self._entry = Entry(visitor, target)
        except BaseException:
            os.close(self._out)
            raise
        finally:
            os.close(out_write)
        self._pid, self._pidfd = self._entry.usher, self._entry.usher_fd

    @property
    def fds(self) -> list[int]:
        """The end of the process, or of the usher that makes it, and the output."""
        return [self._pidfd, self._out] if self._out >= 0 else [self._pidfd]

    def step(self) -> Result | None:
        """Take in what it has written; the result, if it has ended. Nothing here waits: a process may be frozen."""
        self._read()
        if not self._dead() or (self._pid == self._entry.usher and self._let_in()):
            return None
        return self.end()

    def _dead(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _let_in(self) -> bool:
        """Go on with the process that the usher has made, if it has."""
        born = self._entry.born()
        if isinstance(born, Report):
            self._failed = born
            return False
        os.waitpid(self._pid, 0)
        self._pid, self._pidfd = born, libc.pidfd_open(born)
        try:
            self._entry.let_go(born)
        except OSError as exc:
            self._failed = report.of("scheduler", exc)
            os.kill(born, signal.SIGKILL)
        return True

    def _read(self) -> None:
        """A piece at a time, and only the first ones are kept: the probe need not wait for us, nor we for it."""
        with contextlib.suppress(BlockingIOError):
            chunk = os.read(self._out, CHUNK) if self._out >= 0 else b""
            self._output = (self._output + chunk)[: MAX_OUTPUT + 1]
            if not chunk and self._out >= 0:
                os.close(self._out)
                self._out = -1

    def kill(self, timeout: float) -> None:
        """It has taken too long. Its result comes when it is gone: a process may be stuck in the kernel."""
        self._late = timeout
        _end_all(self._group, self._pid)

    @property
    def killed(self) -> bool:
        """Whether it had to be killed."""
        return bool(self._late)

    def end(self) -> Result:
        """Bury it, and whatever it has left behind."""
        _pid, status = os.waitpid(self._pid, 0)
        _end_all(self._group)
        self._read()
        if self._pid != self._entry.usher:
            self._failed = self._failed or self._entry.problem()
            os.close(self._pidfd)
        if self._out >= 0:
            os.close(self._out)
        self._entry.close()
        return self._result(exit_code(status))

    def _result(self, code: int) -> Result:
        output = self._output[:MAX_OUTPUT].decode("utf-8", "replace")
        if len(self._output) > MAX_OUTPUT:
            output += "..."
        failed = self._failed
        if self._late:
            output = f"Health check exceeded timeout ({self._late:g}s)" + (f": {output}" if output else "")
        elif failed:
            output = f"{failed.step}: {failed.message or os.strerror(failed.errno)}"
        return Result(self._start, state.now(), NO_RESULT if self._late or failed else code, output)

    def cancel(self) -> None:
        """The container has ended, and the probe with it: every process of a pid namespace goes with its first."""
        _end_all(self._group, self._pid)
        os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        if self._pid == self._entry.usher and self._let_in():
            _end_all(self._group, self._pid)
        self.end()
