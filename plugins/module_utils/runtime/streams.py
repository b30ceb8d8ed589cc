# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipes between a container and its log, which must not break when the monitor dies.

A pipe without a reader kills its writers (SIGPIPE). So the container's end is open for reading as well, and its
writers only wait, once the pipe is full, until another monitor reads on. That one finds the pipe in the container's
processes. They may have put anything else in its place, so what is opened is known by its inode first.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from .log import NoLog

CHUNK = 65536
LAST_CHUNKS = 16  # a pipe of an ordinary process holds no more than a mebibyte: fs.pipe-max-size, pipe(7)


class Streams:
    """The reading ends, by descriptor, and what each carries (`stdout`, `stderr`)."""

    def __init__(self, log: NoLog) -> None:
        self._log = log
        self.names: dict[int, str] = {}

    def add(self, fd: int, name: str) -> None:
        """Read from `fd`. Never blocking: the container may take out of a pipe what poll(2) has seen in it."""
        os.set_blocking(fd, False)
        self.names[fd] = name

    def copy(self, fd: int) -> bool:
        """Log what can be read; False when there is nothing more. A pipe that has no writer left is closed."""
        try:
            chunk = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""  # EIO: a terminal that nobody has open any more
        if chunk:
            self._log.write(self.names[fd].encode(), chunk)
        else:
            os.close(fd)
            del self.names[fd]
        return bool(chunk)

    def finish(self) -> None:
        """The container's processes are gone: what is in the pipes now is all there will be."""
        for fd in list(self.names):
            for _number in range(LAST_CHUNKS):
                if not self.copy(fd):
                    break
        self.close()

    def close(self) -> None:
        """Read no more."""
        for fd in self.names:
            os.close(fd)
        self.names = {}


def identities(names: dict[int, str]) -> dict[str, int]:
    """The inode of each pipe, by which another monitor can find it; a terminal is gone with us."""
    found = {name: os.fstat(fd) for fd, name in names.items()}
    return {name: status.st_ino for name, status in found.items() if stat.S_ISFIFO(status.st_mode)}


def open_pipe() -> tuple[int, int]:
    """A pipe: its reading end, and an end for the container that is open for both."""
    read_end, write_end = os.pipe()
    try:
        return read_end, os.open(f"/proc/self/fd/{write_end}", os.O_RDWR | os.O_CLOEXEC)
    finally:
        os.close(write_end)


def find(pids: Iterable[int], wanted: dict[str, int]) -> dict[int, str]:
    """New reading ends of the pipes with the inodes `wanted`, found among the descriptors of the processes."""
    found: dict[int, str] = {}
    for pid in pids:
        for name, inode in wanted.items():
            fd = None if name in found.values() else _find(pid, inode)
            if fd is not None:
                found[fd] = name
    return found


def _find(pid: int, inode: int) -> int | None:
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for number in os.listdir(directory):
            path = f"{directory}/{number}"
            with contextlib.suppress(OSError):
                if os.readlink(path) == f"pipe:[{inode}]":
                    return _reopen(path, inode)
    return None


def _reopen(path: str, inode: int) -> int | None:
    """The pipe behind a descriptor of another process, which may change while we look.

    O_PATH touches nothing; what it has got hold of is compared, and that alone is opened. Anything else could be a
    file that the container may not read, or a device whose opening does something.
    """
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if (status.st_dev, status.st_ino) != (_pipe_device(), inode):
            return None
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _pipe_device() -> int:
    """The number of the kernel's own file system of pipes."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    try:
        return os.fstat(read_end).st_dev
    finally:
        os.close(read_end)
