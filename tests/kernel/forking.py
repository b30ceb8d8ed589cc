# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a process of its own, which a test may kill."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def in_a_process(work: Callable[[], Any]) -> int:
    """The pid of a child that does the work; its exit code is 0 when the work came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child
