# SPDX-License-Identifier: GPL-3.0-or-later
"""When a process gets a processor, and whose reads and writes go first: sched_setattr(2), ioprio_set(2)."""

from __future__ import annotations

import ctypes
import os
import struct

from . import libc

_MACHINE = os.uname().machine
NR_IOPRIO_SET = {"x86_64": 251}.get(_MACHINE, 30)
NR_SCHED_SETATTR = {"x86_64": 314}.get(_MACHINE, 274)

# <linux/sched.h>
POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
# <linux/ioprio.h>
CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
LEVELS = range(8)
_CLASS_SHIFT = 13
_WHO_PROCESS = 1
_ATTRIBUTES = "=IIQiIQQQ"  # struct sched_attr as Linux 3.14 has it; later kernels take the shorter one


def set_scheduler(
    pid: int, policy: int, flags: int = 0, nice: int = 0, priority: int = 0, times: tuple[int, ...] = ()
) -> None:
    """The policy of a thread, 0 for the calling one.

    `times` are runtime, deadline and period in nanoseconds, for SCHED_DEADLINE.
    """
    runtime, deadline, period = times or (0, 0, 0)
    size = struct.calcsize(_ATTRIBUTES)
    raw = struct.pack(_ATTRIBUTES, size, policy, flags, nice, priority, runtime, deadline, period)
    libc.syscall("sched_setattr", NR_SCHED_SETATTR, pid, ctypes.create_string_buffer(raw, size), 0)


def set_io_priority(kind: int = 0, level: int = 0) -> None:
    """The class and level of the calling thread; without a class, what its niceness says."""
    libc.syscall("ioprio_set", NR_IOPRIO_SET, _WHO_PROCESS, 0, kind << _CLASS_SHIFT | level)
