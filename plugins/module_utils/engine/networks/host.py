# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks change on the host as a whole: IPv4 forwarding, and what it was before."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...linux.files import read_text, write_kernel
from ..records import load, save

IP_FORWARD = "/proc/sys/net/ipv4/ip_forward"


@dataclass(frozen=True)
class HostChanges:
    """The values before the first network came."""

    ip_forward: str = "1"


def forwarding() -> bool:
    """Whether the host forwards IPv4 packets."""
    return read_text(IP_FORWARD) == "1"


def allow_forwarding(paths: Paths) -> None:
    """Turn forwarding on; what it was is remembered first, and once."""
    if _remembered(paths) is None:
        save(HostChanges(ip_forward=read_text(IP_FORWARD)), paths.host_changes)
    if not forwarding():
        write_kernel(IP_FORWARD, "1")


def give_back_forwarding(paths: Paths, *, alone: bool) -> None:
    """Put back what was there, unless networks of another state root still need it (`alone` is false then)."""
    before = _remembered(paths)
    if before is not None and before.ip_forward != "1" and alone and forwarding():
        write_kernel(IP_FORWARD, before.ip_forward)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.host_changes)


def _remembered(paths: Paths) -> HostChanges | None:
    try:
        return load(HostChanges, paths.host_changes)
    except CorruptRecord:
        return None
