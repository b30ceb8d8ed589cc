# SPDX-License-Identifier: GPL-3.0-or-later
"""How a failing step travels from a child that may import and decode nothing any more to the one who asked.

A report is bytes: step, errno, path and message, separated by NUL. No report and end of file mean success.
"""

from __future__ import annotations

import os
from typing import NamedTuple

END = b"\n"  # of an answer: whoever waits for it need not wait until all who could write one are gone


class Report(NamedTuple):
    """A failed step. `errno` is 0 when the system was not involved."""

    step: str
    errno: int
    path: str
    message: str


class StepError(Exception):
    """A step failed for a reason that no errno tells: the message is for people."""

    def __init__(self, message: str, path: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.errno = errno


def send(fd: int, step: str, exc: BaseException) -> None:
    """Write the report of `exc`. Safe after the root has changed: built-in codecs, no import."""
    path = getattr(exc, "filename", None) or getattr(exc, "path", "") or ""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    message = getattr(exc, "message", "") or ("" if isinstance(exc, OSError) else f"{type(exc).__name__}: {exc}")
    fields = (step, str(getattr(exc, "errno", 0) or 0), str(path), str(message))
    os.write(fd, "\0".join(fields).encode("utf-8", "surrogateescape"))


def of(step: str, exc: BaseException) -> Report:
    """The report of `exc`, in a process that may still do everything."""
    path = getattr(exc, "path", None) or getattr(exc, "filename", None) or ""
    return Report(step, getattr(exc, "errno", 0) or 0, str(path), str(exc))


def parse(raw: bytes) -> Report:
    """The report behind what was read from the pipe."""
    step, number, path, message = (raw.decode("utf-8", "replace").split("\0") + ["", "0", "", ""])[:4]
    return Report(step, int(number or 0), path, message)


def read_all(fd: int) -> bytes:
    """Everything up to the end of file."""
    parts: list[bytes] = []
    while True:
        part = os.read(fd, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
