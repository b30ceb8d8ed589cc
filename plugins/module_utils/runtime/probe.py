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
from .exec import Visitor, enter
from .health import MAX_OUTPUT, NO_RESULT, Result

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


def _fork(visitor: Visitor) -> int:
    """The child is born into the container's pid namespace; we stay outside of it."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc.setns(visitor.target_fd, libc.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            enter(visitor)
        return pid
    finally:
        libc.setns(own, libc.CLONE_NEWPID)
        os.close(own)


class Probe:
    """A probe that runs. `fds` are the descriptors to be polled; when one is ready, call `step`."""

    def __init__(self, visitor: Visitor, target: int, cgroup: Cgroup) -> None:
        """`target` is a pidfd of the container's first process."""
        self.began = time.monotonic()
        self._start = state.now()
        self._group = cgroup.inner(GROUP)
        self._output = b""
        self._late = 0.0
        self._out, out_write = os.pipe()
        self._report, visitor.sync_fd = os.pipe()
        os.set_blocking(self._out, False)
        try:
            visitor.join_files = [*visitor.join_files, *self._group.join_files()]
            visitor.stdio = (-1, out_write, out_write)
            visitor.target_fd = target
            self._pid = _fork(visitor)
            self._pidfd = libc.pidfd_open(self._pid)
        except BaseException:
            os.close(self._out)
            os.close(self._report)
            raise
        finally:
            os.close(out_write)
            os.close(visitor.sync_fd)

    @property
    def fds(self) -> list[int]:
        """The process's end, and its output."""
        return [self._pidfd, self._out] if self._out >= 0 else [self._pidfd]

    def step(self) -> Result | None:
        """Take in what it has written; the result, if it has ended."""
        self._read()
        if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        return self.end()

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
        problem = report.read_all(self._report)
        for fd in (*self.fds, self._report):
            os.close(fd)
        return self._result(exit_code(status), problem)

    def _result(self, code: int, problem: bytes) -> Result:
        output = self._output[:MAX_OUTPUT].decode("utf-8", "replace")
        if len(self._output) > MAX_OUTPUT:
            output += "..."
        if self._late:
            output = f"Health check exceeded timeout ({self._late:g}s)" + (f": {output}" if output else "")
        elif problem:
            failed = report.parse(problem)
            output = f"{failed.step}: {failed.message or os.strerror(failed.errno)}"
        return Result(self._start, state.now(), NO_RESULT if self._late or problem else code, output)

    def cancel(self) -> None:
        """The container has ended, and the probe with it: every process of a pid namespace goes with its first."""
        _end_all(self._group, self._pid)
        self.end()
