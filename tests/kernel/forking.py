# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a process of its own, which a test may kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
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


def all_at_once(works: Iterable[Callable[[], Any]]) -> None:
    """Each in a process of its own, as Ansible's forks would be; all come to their end."""
    children = [in_a_process(work) for work in works]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def killed_at(calls: int, names: Iterable[str], work: Callable[[], Any]) -> bool:
    """Do the work in a process that is killed at its next call of these functions of `os` after so many of them.

    Whether it was: with fewer calls to make it comes to its end.
    """
    left = calls

    def count(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return counted

    def counting() -> None:
        for name in names:
            setattr(os, name, count(getattr(os, name)))
        work()

    status = os.waitstatus_to_exitcode(os.waitpid(in_a_process(counting), 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0
