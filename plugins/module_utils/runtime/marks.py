# SPDX-License-Identifier: GPL-3.0-or-later
"""What a child on its way says to its parent, a mark of one byte, and the word that it waits for then.

A report of what failed begins with a letter, and so with none of these.
"""

from __future__ import annotations

import os
import struct

LISTENER = b"\x04"  # and the number of the descriptor of which the parent is to take a copy
HOOKS = b"\x05"
READY = b"\x06"
BORN = b"\x08"  # and the pid of the process that is there now
NUMBER = struct.Struct("=i")
GO = b"\x07"


def wait(fd: int) -> None:
    """Until the parent says `GO`. If it is gone, nobody knows of us."""
    if os.read(fd, 1) != GO:
        os._exit(1)


def ask(out: int, back: int, mark: bytes) -> None:
    """Say where we are, and wait."""
    os.write(out, mark)
    wait(back)
