# SPDX-License-Identifier: GPL-3.0-or-later
"""A place under the store for what is not finished: `layer/tmp/<name>/`, with a lock that dies with its owner.

It is made before the store is touched and removed when the store is whole again, so after a kill at any moment it is
still there: that one directory listing tells the next task that something may have to be swept.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from types import TracebackType

from ..core.paths import Paths
from ..linux.files import make_private_dir, remove_tree
from .downloads import AGE, Downloads

_LOCK = "lock"


def directory(paths: Paths) -> str:
    """Where the workspaces are."""
    return os.path.join(paths.layers, "tmp")


class Workspace:
    """`with Workspace(paths) as work:` gives paths for temporary files on the store's own file system."""

    def __init__(self, paths: Paths) -> None:
        self.path = os.path.join(directory(paths), f"{os.getpid()}-{os.urandom(4).hex()}")
        self._lock = -1
        self._numbers = itertools.count(1)

    def __enter__(self) -> Workspace:
        make_private_dir(os.path.dirname(self.path))
        os.mkdir(self.path, 0o700)
        try:
            self._lock = self._make_lock()
        except OSError:  # a full disk
            remove_tree(self.path)
            raise
        return self

    def _make_lock(self) -> int:
        """It gets its name when it is locked: a lock that is free is the sign of a dead owner."""
        nameless = os.path.join(self.path, f".{_LOCK}")
        lock = os.open(nameless, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(nameless, os.path.join(self.path, _LOCK))
        return lock

    def __exit__(self, kind: type[BaseException] | None, exc: object, trace: TracebackType | None) -> None:
        try:
            remove_tree(self.path)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)

    def new(self, what: str) -> str:
        """A path that nothing has yet, in whatever thread."""
        return os.path.join(self.path, f"{what}{next(self._numbers)}")


def abandoned(paths: Paths) -> list[str]:
    """Workspaces whose owner has died."""
    try:
        names = sorted(os.listdir(directory(paths)))
    except FileNotFoundError:
        return []
    return [path for path in (os.path.join(directory(paths), name) for name in names) if not _owned(path)]


def leftovers(paths: Paths, age: float = AGE) -> bool:
    """Whether there is something of a task that broke off, and that no other goes on with."""
    return bool(abandoned(paths) or Downloads(paths).abandoned(age))


def _owned(path: str) -> bool:
    """Whether a process holds the lock. One that has not made its lock yet counts while it lives."""
    try:
        fd = os.open(os.path.join(path, _LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        pid = os.path.basename(path).partition("-")[0]
        return pid.isdigit() and os.path.isdir(f"/proc/{pid}")
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
