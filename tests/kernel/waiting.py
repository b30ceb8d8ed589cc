# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what others do in their own time: a monitor, the kernel, a program in a container."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Answer = TypeVar("Answer")
# As long as a machine may need that has far more to do than it can; whoever is not busy waits for milliseconds.
PATIENCE = 60.0


def eventually(condition: Callable[[], Answer], seconds: float = PATIENCE) -> Answer:
    """The first answer of `condition` that is true. The test fails when there is none in time."""
    __tracebackhide__ = True
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds:g} s, the last answer was {answer!r}: {_words(condition)}")
        time.sleep(0.01)
    return answer


def stays(condition: Callable[[], Answer], seconds: float = 1.0) -> None:
    """Look for a while whether `condition` goes on to be true, where what must not happen is announced by nothing."""
    __tracebackhide__ = True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not (answer := condition()):
            pytest.fail(f"it was to stay as it was, and is {answer!r}: {_words(condition)}")
        time.sleep(0.01)


def _words(condition: Callable[[], object]) -> str:
    """What was awaited, as the test says it."""
    if getattr(condition, "__name__", "") == "<lambda>":
        return " ".join(inspect.getsource(condition).split())
    return repr(condition)
