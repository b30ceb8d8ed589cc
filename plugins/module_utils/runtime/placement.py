# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process takes its machine for, and where in it it runs: personality, memory policy, processors.

OCI: config-linux.md, "Personality" and "Memory Policy"; config.md, "execCPUAffinity".
"""

from __future__ import annotations

import os
from typing import Any

from ..linux import libc

PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}  # <linux/personality.h>
# <linux/mempolicy.h>
MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
FLAGS = {"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}


def settle(linux: dict[str, Any]) -> None:
    """Set what is asked for. The personality is set in any case, as the caller's could turn off the randomness of
    addresses (setarch(8))."""
    personality = linux.get("personality") or {"domain": "LINUX"}
    libc.personality(PERSONALITIES[personality["domain"]])
    policy = linux.get("memoryPolicy")
    if policy:
        flags = sum(FLAGS[flag] for flag in policy.get("flags") or ())
        libc.set_mempolicy(MODES[policy["mode"]] + flags, sum(1 << node for node in numbers(policy.get("nodes"))))


def set_affinity(process: dict[str, Any], moment: str) -> None:
    """The processors that an exec may have from a moment on: `initial` on its way in, `final` for its program."""
    named = (process.get("execCPUAffinity") or {}).get(moment)
    if named:
        os.sched_setaffinity(0, numbers(named))


def numbers(text: str | None) -> set[int]:
    """Those of a list that was checked: 0, 1, 2, 3 and 7 of `0-3,7`."""
    pairs = [part.partition("-") for part in (text or "").split(",") if part]
    return {number for first, _dash, last in pairs for number in range(int(first), int(last or first) + 1)}
