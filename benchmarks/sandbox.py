# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host: namespaces, cgroups and directories of its own, and nothing left at the end, also on Ctrl-C.

All processes live in one pid namespace. When its first process ends the kernel kills the rest: daemons, monitors,
containers. Their mounts, links and rules go with the namespaces, and only the cgroups and one directory remain to be
removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, Callable, NoReturn

from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount import set_propagation
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
)

from .cgroups import OwnCgroups

_NAMESPACES = libc.CLONE_NEWNS | libc.CLONE_NEWNET | libc.CLONE_NEWCGROUP | libc.CLONE_NEWUTS | libc.CLONE_NEWIPC
# What engines keep at fixed places: a tmpfs hides the host's.
_HIDDEN = ("/run", "/var/lib/cni", "/var/lib/containers", "/etc/docker")
_SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC


def run(work: Callable[[Path], int]) -> int:
    """Call `work` inside with an empty directory, and return what it returns."""
    signal.signal(signal.SIGTERM, _end)
    # A job in the background of a script is born with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="mini-bench-"))
    groups = OwnCgroups(directory.name)
    first = 0
    try:
        groups.create()
        libc.unshare(libc.CLONE_NEWPID)  # for the children
        first = os.fork()
        if first == 0:
            _guarded(lambda: _first_process(work, directory, groups))
        return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    finally:
        if first:
            _kill(first)
        groups.remove()
        shutil.rmtree(directory, ignore_errors=True)


def _end(number: int, _frame: Any) -> NoReturn:
    sys.exit(128 + number)


def _kill(pid: int) -> None:
    """Kill and wait: the kernel lets a pid namespace's first process go when all others are dead."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _guarded(work: Callable[[], int]) -> NoReturn:
    """A forked child never returns into its parent's code."""
    code = 1
    try:
        code = work()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _first_process(work: Callable[[Path], int], directory: Path, groups: OwnCgroups) -> int:
    """Set the place up, run the benchmark as a child, and bury whatever is orphaned meanwhile."""
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    groups.enter()
    libc.unshare(_NAMESPACES)
    _furnish(groups)
    child = os.fork()
    if child == 0:
        _guarded(lambda: work(directory))
    while True:
        pid, status = os.wait()
        if pid == child:
            return max(os.waitstatus_to_exitcode(status), 0)


def _furnish(groups: OwnCgroups) -> None:
    """Fresh /proc, /sys and /run, and a loopback interface that is up."""
    set_propagation(MS_PRIVATE)
    libc.mount("proc", "/proc", "proc", _SAFE)
    libc.mount("sysfs", "/sys", "sysfs", _SAFE)
    groups.mount()
    for path in _HIDDEN:
        if os.path.isdir(path):
            libc.mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    os.makedirs("/run/lock")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
