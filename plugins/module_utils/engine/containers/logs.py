# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a container's log, which its monitor writes in the CRI format (see runtime/log.py)."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, Optional

from ...core.errors import BadInput
from ...core.paths import Paths
from ...runtime.log import files
from .observe import log_path

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?Z?\Z")


class Entry(NamedTuple):
    """One piece of output. `whole` is False for a part of a line whose end is yet to come."""

    time: str
    stream: str
    whole: bool
    text: bytes


def entries(paths: Paths, container_id: str, since: str = "") -> Iterator[Entry]:
    """All entries, oldest first. `since` is a time as the log writes it: such texts sort as times do."""
    if since and not _TIME.match(since):
        raise BadInput(f"since: {since!r} is not a time", hint="write it in UTC, as 2030-01-31T12:00:00Z")
    return _entries(paths, container_id, since)


def _entries(paths: Paths, container_id: str, since: str) -> Iterator[Entry]:
    with contextlib.ExitStack() as stack:
        for handle in _opened(log_path(paths, container_id), stack):
            for line in handle:
                entry = _parse(line)
                if entry is not None and entry.time >= since:
                    yield entry


def _open(name: str) -> BinaryIO:
    return open(name, "rb")


def _opened(path: str, stack: contextlib.ExitStack) -> list[BinaryIO]:
    """The log's files, oldest first, none left out and none twice: a rotation renames them while they are opened."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            found: list[BinaryIO] = [stack.enter_context(_open(name)) for name in files(path)]
            if [os.fstat(handle.fileno()).st_ino for handle in found] == [os.stat(name).st_ino for name in files(path)]:
                return found
        stack.close()


def _parse(line: bytes) -> Optional[Entry]:
    fields = line.rstrip(b"\n").split(b" ", 3)
    if len(fields) < 4:
        return None
    return Entry(fields[0].decode(errors="replace"), fields[1].decode(errors="replace"), fields[2] == b"F", fields[3])


def tail(found: Iterable[Entry], lines: Optional[int]) -> list[Entry]:
    """The last `lines` entries, all for None."""
    if lines is not None and lines < 0:
        raise BadInput(f"tail: {lines} is negative", hint="give a number of lines")
    return list(deque(found, maxlen=lines))


def output(found: Iterable[Entry], *streams: str) -> str:
    """What was written to the streams, byte for byte; what is no UTF-8 is shown as replacement characters."""
    parts = [entry.text + (b"\n" if entry.whole else b"") for entry in found if entry.stream in streams]
    return b"".join(parts).decode("utf-8", "replace")
