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
    number = int(text) if text.isascii() and text.isdigit() else getattr(signal, name, None)
    if not isinstance(number, int) or not 0 < number < signal.NSIG:
        raise BadInput(f"there is no signal {text!r}", hint="give a name such as SIGTERM, or a number")
    return int(number)
