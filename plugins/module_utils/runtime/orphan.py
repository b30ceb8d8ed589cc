# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's first process whose parent was killed before it could tell what had become of it (starter.py).

It may have been let go already, and run its program. The state names it, and the kernel knows the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from ..linux import libc
from ..linux.process import PF_FORKNOEXEC, read_stat, wait_pidfd
from . import state

PATIENCE = 10.0  # seconds to get from the last step to the program
_PAUSE = 0.005


def settle(path: str) -> dict[str, Any] | None:
    """The state at `path`, once the program of the process in it runs; None when there is none that does.

    One that was not let go is killed by the kernel, as its parent is dead. All that is dead by then is buried.
    """
    found = state.read(path)
    process = state.process(found)
    pidfd = process.open() if process else None
    runs = pidfd is not None and _runs(found["init"]["pid"], pidfd)
    if pidfd is not None:
        os.close(pidfd)
    if runs:
        return found
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return None


def _runs(pid: int, pidfd: int) -> bool:
    """Wait for its program, or its end: a process that has not executed anything since its birth is ours yet."""
    deadline = time.monotonic() + PATIENCE
    while not wait_pidfd(pidfd, _PAUSE):
        stat = read_stat(pid)
        if stat is not None and not stat.flags & PF_FORKNOEXEC:
            return True
        if time.monotonic() > deadline:
            libc.pidfd_send_signal(pidfd, signal.SIGKILL)
    return False
