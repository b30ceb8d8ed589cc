# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that must be whole, locks that must not leak, and paths that must stay inside a directory."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from ..core.errors import Busy
from . import libc

IN_ROOT = libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS
LOCK_TIMEOUT = 60.0
_SMALL = 16384


def make_private_dir(path: str) -> None:
    """Create `path` and its parents, open to root alone: image files may carry setuid bits.

    Not by `os.makedirs`, which gives the parents the default mode.
    """
    if not os.path.isdir(path):
        make_private_dir(os.path.dirname(path))
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)


def write_atomic(path: str, data: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace `path` so that a reader, a crash or a full disk sees the old file or the new one, never a torn one.

    Temporary file → fsync → rename → fsync of the directory. What is not `durable` does without both fsyncs: after a
    power cut it may be the old file, the new one or an empty one. That is enough for what lies below /run, and for
    what is made again before it is used.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            _write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_dir(os.path.dirname(path))


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_dir(path: str) -> None:
    """fsync a directory, so that the names in it survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_tree(path: str) -> None:
    """Bring to the disk what was written below a directory, before a rename makes it count.

    With all else on its file system: that is one call, where a tree may have thousands of files.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc.syncfs(fd)
    finally:
        os.close(fd)


def read_small(path: str) -> bytes:
    """The content of a small file: half a dozen system calls less than a file object makes of it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _SMALL), b""))
    finally:
        os.close(fd)


def read_text(path: str, default: str | None = None) -> str:
    """A small text file, stripped. `default` stands in for a file that is not there."""
    try:
        return read_small(path).decode("utf-8", "surrogateescape").strip()
    except FileNotFoundError:
        if default is None:
            raise
        return default


def write_kernel(path: str, value: str) -> None:
    """Write one value to a file of procfs, sysfs or cgroupfs: one write(2), and close errors are reported."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from exc
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked(path: str, what: str, timeout: float | None = None) -> Iterator[int]:
    """Hold an exclusive flock(2) on `path`; `Busy` names the holder after `timeout` seconds.

    The lock belongs to the open file description, which a forked child shares: it is given up explicitly, and
    the descriptor is close-on-exec, so no process that outlives the call can keep it. A process that is handed the
    descriptor that is yielded keeps the lock when we are killed.
    """
    make_private_dir(os.path.dirname(path))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _acquire(fd, what, LOCK_TIMEOUT if timeout is None else timeout)
        with contextlib.suppress(OSError):  # where there is no room, the holder is unknown
            os.pwrite(fd, f"{os.getpid()}\n".ljust(12).encode(), 0)
        try:
            yield fd
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _acquire(fd: int, what: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as exc:
            if exc.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() > deadline:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise Busy(
                f"{what} is locked by process {holder} for more than {timeout:.0f} s",
                hint="wait for that process, or end it if it hangs",
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def is_locked(path: str) -> bool:
    """Whether a process holds the lock of `locked`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` as a process whose root is `root_fd` would: no symbolic link or `..` leads outside."""
    return libc.openat2(root_fd, path or ".", flags, IN_ROOT, mode)


def remove_tree(path: str) -> None:
    """Remove a directory and all below it: any depth, no link followed, nothing to do if it is not there.

    One descriptor at a time, so that neither recursion nor the limit of open files bounds the depth. What is mounted
    below is not entered (EBUSY), which is what protects its content, and a directory that somebody moves away meanwhile
    ends the work (EAGAIN): its `..` leads elsewhere.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        current = os.open(path, flags)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        os.unlink(path)
        return
    trail: list[_Level] = []
    try:
        left = _unlink_files(current)
        while left or trail:
            if left:
                name = left.pop()
                trail.append(_Level(name, left, _identity(current)))
                current = _down(current, name, path)
                left = _unlink_files(current)
            else:
                name, left, parent = trail.pop()
                current = _up(current, parent, path)
                os.rmdir(name, dir_fd=current)
    finally:
        os.close(current)
    os.rmdir(path)


class _Level(NamedTuple):
    """A directory on the way down: its name, its siblings that are still to go, and what it was found in."""

    name: str
    left: list[str]
    parent: tuple[int, int]


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _down(directory: int, name: str, path: str) -> int:
    """From a directory to one in it."""
    try:
        following = libc.openat2(directory, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, libc.RESOLVE_NO_XDEV)
    except OSError as exc:
        if exc.errno == errno.EXDEV:
            raise OSError(errno.EBUSY, "something is mounted below", path) from exc
        raise
    os.close(directory)
    return following


def _up(directory: int, parent: tuple[int, int], path: str) -> int:
    """From a directory to the one that it was found in."""
    above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    if _identity(above) != parent:
        os.close(above)
        raise OSError(errno.EAGAIN, "somebody moves directories in it", path)
    os.close(directory)
    return above


def _unlink_files(directory: int) -> list[str]:
    """Remove what is not a directory; the names of the directories are returned."""
    below: list[str] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return below
