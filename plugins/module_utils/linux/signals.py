# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals by name (signal(7))."""

from __future__ import annotations

import re
import signal

from ..core.errors import BadInput


def signal_number(text: str) -> int:
    """`SIGTERM`, `TERM` or `15`; SIGTERM when nothing is said. `SIGRTMIN+3`, which systemd takes for "halt", is one."""
    if not text:
        return signal.SIGTERM
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    is_number = text.isascii() and text.isdigit() and len(text) < 4
    number = int(text) if is_number else _real_time(name) or getattr(signal, name, None)
    if not isinstance(number, int) or not 0 < number < signal.NSIG:
        raise BadInput(f"there is no signal {text[:40]!r}", hint="give a name such as SIGTERM, or a number")
    return int(number)


def _real_time(name: str) -> int:
    """`SIGRTMIN+n` and `SIGRTMAX-n`; 0 for any other name."""
    found = re.fullmatch(r"SIGRT(?:(MIN\+)|MAX-)([0-9]{1,2})", name, re.ASCII)
    if not found:
        return 0
    first, last, distance = int(signal.SIGRTMIN), int(signal.SIGRTMAX), int(found[2])
    number = first + distance if found[1] else last - distance
    return number if first <= number <= last else 0
