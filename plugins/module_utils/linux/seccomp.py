# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the calling process, and all it becomes, under a filter of system calls (seccomp(2)).

What a filter is made of is in seccomp_filter.py, which a start does not need: programs are kept.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import BadInput
from . import libc

# Part of the name under which a program is kept: to be raised with every change of what seccomp_filter.py makes.
FILTER_VERSION = 1

NR_SECCOMP = {"x86_64": 317}.get(os.uname().machine, 277)
SET_MODE_FILTER = 1
INSTRUCTION_SIZE = 8
# <linux/seccomp.h>
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
TSYNC, WAIT_KILLABLE_RECV = 1, 32
NEW_LISTENER = 8
NOTIFY = "SCMP_ACT_NOTIFY"
# Before Linux 5.16 a filter turned on mitigations of speculative execution that slow every program down. Other
# runtimes ask for this, too, when a bundle does not say otherwise.
DEFAULT_FLAGS = ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",)


def notifies(asked: Mapping[str, Any]) -> bool:
    """Whether an OCI seccomp object leaves calls to a listener to decide (seccomp_unotify(2))."""
    return any(rule.get("action") == NOTIFY for rule in asked.get("syscalls") or ())


def flag_bits(names: Iterable[str] | None, *, listener: bool = False) -> int:
    """The `flags` of an OCI seccomp object as a number; None when it has none. `listener` is whether it `notifies`.

    The kernel takes TSYNC only without a listener, and for our one thread it means nothing; WAIT_KILLABLE_RECV is
    about the listener, and it takes that only with one.
    """
    bits = 0
    for name in DEFAULT_FLAGS if names is None else names:
        if name not in FLAGS:
            raise BadInput(f"linux.seccomp has the flag {name!r}, which cannot be had here")
        bits |= FLAGS[name]
    return bits & ~TSYNC | NEW_LISTENER if listener else bits & ~WAIT_KILLABLE_RECV


def supported_flags() -> list[str]:
    """Those of `FLAGS` that this kernel knows."""
    listener = {WAIT_KILLABLE_RECV: NEW_LISTENER}
    return sorted(name for name, bit in FLAGS.items() if _knows(bit | listener.get(bit, 0)))


def _knows(flags: int) -> bool:
    """The kernel looks at the flags first, and then for the program that is not there."""
    try:
        libc.syscall("seccomp", NR_SECCOMP, SET_MODE_FILTER, flags, None)
    except OSError as exc:
        return exc.errno == errno.EFAULT
    return True


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(program: bytes, flags: int) -> int:
    """Filter every later call of the process. Needs CAP_SYS_ADMIN, or no_new_privs; there is no way back.

    With NEW_LISTENER the result is the descriptor that a listener reads, close-on-exec; else it means nothing.
    """
    filter_ = _Program(len(program) // INSTRUCTION_SIZE, program)
    return libc.syscall("seccomp", NR_SECCOMP, SET_MODE_FILTER, flags, ctypes.byref(filter_))
