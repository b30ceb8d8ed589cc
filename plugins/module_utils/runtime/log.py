# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's log, in the format of the Kubernetes CRI: `<time> stdout|stderr F|P <text>`.

`F` ends a line, `P` is a part of one whose end has not come yet, so the exact bytes can be put together again. The
file is rotated by size: `log`, `log.1`, `log.2`.
"""

from __future__ import annotations

import contextlib
import os

from .bundle import ANNOTATION_LOG, ANNOTATION_LOG_FILES, ANNOTATION_LOG_SIZE, Bundle
from .state import now

MAX_LINE = 16384
MAX_SIZE = 10 * 2**20
MAX_FILES = 3


class NoLog:
    """Keeps nothing. The container's output is read all the same: one that wrote into a full pipe would stand still."""

    def open(self) -> None:
        """There is nothing to open."""

    def limit(self, max_size: int, max_files: int) -> None:
        """There is nothing to limit."""

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Let it go."""


class LogWriter(NoLog):
    """Appends what the container writes. A full disk loses lines, never the container.

    The file is opened with the first line: the monitor of a container that says nothing shares that memory, too.
    """

    def __init__(self, path: str, max_size: int = MAX_SIZE, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._fd = -1
        self._size = 0

    def open(self) -> None:
        """Have the file there, and ready for a line."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._end_line()

    def limit(self, max_size: int, max_files: int) -> None:
        """Other limits from now on; files beyond the new number go when the log is rotated next."""
        self._max_size, self._max_files = max_size, max_files

    def _end_line(self) -> None:
        """A writer that was killed may have left half an entry: the next one begins a line of its own."""
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._flush([b"\n"])

    def write(self, stream: bytes, chunk: bytes) -> None:
        """Log what was read from `stream` (`stdout` or `stderr`) at once: a pipe's read ends where it likes."""
        if self._fd < 0:
            with contextlib.suppress(OSError):
                self.open()
        stamp = now().encode()
        entries = []
        for line in _lines(chunk):
            for part in _parts(line):
                tag = b"F" if part.endswith(b"\n") else b"P"
                entries.append(b"%s %s %s %s\n" % (stamp, stream, tag, part[:-1] if tag == b"F" else part))
        self._append(entries)

    def _append(self, entries: list[bytes]) -> None:
        """Write what fits into the file with one call, and go on in the next one."""
        fitting: list[bytes] = []
        size = self._size
        for entry in entries:
            if size and size + len(entry) > self._max_size:
                self._flush(fitting)
                self._rotate()
                fitting, size = [], 0
            fitting.append(entry)
            size += len(entry)
        self._flush(fitting)

    def _flush(self, entries: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, b"".join(entries))

    def _rotate(self) -> None:
        os.close(self._fd)
        found = files(self._path)
        for surplus in found[: max(0, len(found) - (self._max_files - 1))]:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(surplus)
        for number in range(self._max_files - 1, 0, -1):
            older = f"{self._path}.{number - 1}" if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.rename(older, f"{self._path}.{number}")
        self.open()


def of(bundle: Bundle) -> NoLog:
    """The log that a bundle asks for."""
    if not bundle.text(ANNOTATION_LOG):
        return NoLog()
    return LogWriter(bundle.annotation(ANNOTATION_LOG), *limits(bundle))


def limits(bundle: Bundle) -> tuple[int, int]:
    """The most bytes of a file, and the most files."""
    return int(bundle.text(ANNOTATION_LOG_SIZE) or MAX_SIZE), int(bundle.text(ANNOTATION_LOG_FILES) or MAX_FILES)


def _lines(chunk: bytes) -> list[bytes]:
    """Split at newlines alone: a carriage return belongs to the line."""
    pieces = chunk.split(b"\n")
    lines = [piece + b"\n" for piece in pieces[:-1]]
    return lines + [pieces[-1]] if pieces[-1] else lines


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + MAX_LINE] for start in range(0, len(line), MAX_LINE)]


def files(path: str) -> list[str]:
    """The log's files, oldest first, however many a rotation kept."""
    found = [path] if os.path.exists(path) else []
    while os.path.exists(f"{path}.{len(found)}"):
        found.append(f"{path}.{len(found)}")
    return found[::-1]
