# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals by name (signal(7))."""

from __future__ import annotations

import signal

from ..core.errors import BadInput


def signal_number(text: str) -> int:
    """`SIGTERM`, `TERM` or `15`; SIGTERM when nothing is said."""
    if not text:
        return signal.SIGTERM
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    is_number = text.isascii() and text.isdigit() and len(text) < 4
    number = int(text) if is_number else getattr(signal, name, None)
    if not isinstance(number, int) or not 0 < number < signal.NSIG:
        raise BadInput(f"there is no signal {text[:40]!r}", hint="give a name such as SIGTERM, or a number")
    return int(number)
