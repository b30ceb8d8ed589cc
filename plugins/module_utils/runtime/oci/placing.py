# SPDX-License-Identifier: GPL-3.0-or-later
"""Personality, memory policy and processors of somebody else's bundle, checked; runtime/placement.py sets them."""

from __future__ import annotations

from typing import Any

from ...core.errors import BadInput
from ...core.units import parse_cpuset
from ..placement import FLAGS, MODES, PERSONALITIES, numbers

_WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")


def check(linux: dict[str, Any]) -> None:
    """Refuse names that there are not, and what does not go together."""
    personality = linux.get("personality")
    if personality is not None:
        domain, flags = personality.get("domain"), personality.get("flags")
        _demand(domain in PERSONALITIES, f"linux.personality: there is no domain {domain!r}")
        _demand(not flags, f"linux.personality: there is no flag {flags!r}")
    policy = linux.get("memoryPolicy")
    if policy is not None:
        _check_policy(policy)


def _check_policy(policy: dict[str, Any]) -> None:
    mode, nodes = policy.get("mode"), policy.get("nodes") or ""
    _demand(mode in MODES, f"linux.memoryPolicy: invalid memory policy mode {mode!r}")
    for flag in policy.get("flags") or ():
        _demand(flag in FLAGS, f"linux.memoryPolicy: invalid memory policy flag {flag!r}")
    if nodes:
        parse_cpuset("linux.memoryPolicy: invalid memory policy nodes", nodes)
        count = len(numbers(nodes))
        _demand(mode not in _WITHOUT_NODES, f"linux.memoryPolicy: {mode}: mode requires 0 nodes but got {count}")


def check_affinity(process: dict[str, Any]) -> None:
    """The processors of an exec."""
    for moment, named in (process.get("execCPUAffinity") or {}).items():
        parse_cpuset(f"process.execCPUAffinity.{moment}", named)


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise BadInput(message)
