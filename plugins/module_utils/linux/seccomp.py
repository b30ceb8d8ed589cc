# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the calling process, and all it becomes, under a filter of system calls (seccomp(2)).

What a filter is made of is in seccomp_filter.py, which a start does not need: programs are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..core.errors import BadInput
from . import libc

# Part of the name under which a program is kept: to be raised with every change of what seccomp_filter.py makes.
FILTER_VERSION = 1

INSTRUCTION_SIZE = 8
# <linux/seccomp.h>
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}
# Before Linux 5.16 a filter turned on mitigations of speculative execution that slow every program down. Other
# runtimes ask for this, too, when a bundle does not say otherwise.
DEFAULT_FLAGS = ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",)


def flag_bits(names: Iterable[str] | None) -> int:
    """The `flags` of an OCI seccomp object as a number; None when it has none."""
    bits = 0
    for name in DEFAULT_FLAGS if names is None else names:
        if name not in FLAGS:
            raise BadInput(f"linux.seccomp has the flag {name!r}, which cannot be had here")
        bits |= FLAGS[name]
    return bits


def install(program: bytes, flags: int) -> None:
    """Filter every later call of the process. Needs CAP_SYS_ADMIN, or no_new_privs; there is no way back."""
    libc.set_seccomp_filter(program, flags)
