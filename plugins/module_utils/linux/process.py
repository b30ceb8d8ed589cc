# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes identified so that a reused number can never be mistaken for the one that was meant.

A pid alone is reused within minutes on a busy host and at every boot. boot_id + pid + start time (field 22 of
/proc/PID/stat, proc(5)) is unique, and a pidfd that was opened before the comparison stays with that process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import time
from typing import NamedTuple

from . import libc
from .files import read_small

BOOT_ID = "/proc/sys/kernel/random/boot_id"

# <linux/pidfd.h>: struct pidfd_info in its first form, 64 bytes, and _IOWR(0xFF, 11) of it
PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3
PF_EXITING = 0x4  # <linux/sched.h>
PF_FORKNOEXEC = 0x40
_INFO = "=Q52xi"  # mask, what is of no interest here, exit code


class Process(NamedTuple):
    """One process, for ever. `start_time` is in clock ticks since boot."""

    boot_id: str
    pid: int
    start_time: int

    def open(self) -> int | None:
        """A pidfd of the process, or None when it is gone. A zombie is gone: nothing of it runs."""
        if self.boot_id != boot_id():
            return None
        try:
            pidfd = libc.pidfd_open(self.pid)
        except OSError:
            return None
        stat = read_stat(self.pid)
        if stat is None or stat.state in "ZX" or stat.start_time != self.start_time:
            os.close(pidfd)
            return None
        return pidfd

    def age(self) -> float:
        """Seconds since the process was born, whatever became of the host's clock meanwhile."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start_time / os.sysconf("SC_CLK_TCK")

    def ending(self) -> bool:
        """Whether the process has begun to end. That of a pid namespace takes all others with it, and then ends."""
        stat = read_stat(self.pid)
        return stat is None or stat.start_time != self.start_time or bool(stat.flags & PF_EXITING)

    def alive(self) -> bool:
        """Whether the process still runs."""
        pidfd = self.open()
        if pidfd is None:
            return False
        os.close(pidfd)
        return True

    def signal(self, number: int) -> bool:
        """Send a signal; False when the process is gone."""
        pidfd = self.open()
        if pidfd is None:
            return False
        try:
            libc.pidfd_send_signal(pidfd, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)

    def wait(self, timeout: float | None) -> bool:
        """Wait until the process has ended; False when `timeout` seconds passed first."""
        pidfd = self.open()
        if pidfd is None:
            return True
        try:
            return wait_pidfd(pidfd, timeout)
        finally:
            os.close(pidfd)


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that are used here."""

    state: str
    parent: int
    flags: int
    start_time: int
    exit_code: int  # a wait status, once the process has ended


def boot_id() -> str:
    """The kernel's random name for this boot."""
    return read_small(BOOT_ID).decode().strip()


def read_stat(pid: int) -> Stat | None:
    """/proc/PID/stat, or None when there is no such process."""
    try:
        raw = read_small(f"/proc/{pid}/stat")
    except OSError:
        return None
    # The name in field 2 may hold blanks and parentheses: count from the last ")".
    fields = raw[raw.rindex(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[1]), int(fields[6]), int(fields[19]), int(fields[49]))


def identify(pid: int) -> Process | None:
    """The identity of a running process, or None when there is none."""
    stat = read_stat(pid)
    return None if stat is None else Process(boot_id(), pid, stat.start_time)


def wait_pidfd(pidfd: int, timeout: float | None) -> bool:
    """Wait until the process behind `pidfd` has ended."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if poller.poll(None if left is None else left * 1000):
            return True
        if left == 0.0:
            return False


def exit_status(process: Process, pidfd: int) -> int | None:
    """The wait status of a process that has ended and is no child of ours; None when the kernel does not tell.

    As long as its parent has not heard of the end, the last field of /proc/PID/stat has it (proc(5)). Later, since
    Linux 6.15, whoever has a pidfd that is older than the end may ask that (PIDFD_INFO_EXIT in <linux/pidfd.h>).
    """
    for _turn in ("perhaps not heard of yet", "heard of while we looked"):
        stat = read_stat(process.pid)
        if stat is not None and stat.start_time == process.start_time and stat.state in "ZX":
            return stat.exit_code
        buffer = bytearray(struct.pack(_INFO, PIDFD_INFO_EXIT, 0))
        with contextlib.suppress(OSError):
            fcntl.ioctl(pidfd, PIDFD_GET_INFO, buffer)
            mask, status = struct.unpack(_INFO, buffer)
            if mask & PIDFD_INFO_EXIT:
                return int(status)
    return None


def exit_code(status: int) -> int:
    """A wait status as a shell tells it: the exit code, or 128 and the number of the signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
