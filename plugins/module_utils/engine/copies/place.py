# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of files: the directory they are in, held by a descriptor, and the name there.

A container may rename directories and set links while we work. So a path is walked by the kernel alone, with the
container's root as its root (openat2, RESOLVE_IN_ROOT), and what lies below a place is opened from there without
following any link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ...core.errors import Conflict, NotFound
from ...image.membername import show
from ...image.replica import open_directory, opened
from ...linux.files import open_in_root
from ...linux.mountinfo import mount_id

MAX_LINKS = 40  # as in the kernel, MAXSYMLINKS
_IN_THE_WAY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Place(NamedTuple):
    """A name in an open directory. `path` is how people know it."""

    parent: int
    name: bytes
    path: str

    def below(self, path: bytes) -> bytes:
        """From the directory to what is below the place; the place itself for an empty path."""
        return b"/".join(part for part in (self.name, path) if part)

    def shown(self, path: bytes) -> str:
        """A path below the place, for people."""
        return os.path.join(self.path, show(path)) if path else self.path

    def stat(self, path: bytes) -> Optional[os.stat_result]:
        """What is below the place; None when there is nothing, or no way to it without a link."""
        directory, _slash, name = self.below(path).rpartition(b"/")
        try:
            with opened(open_directory(self.parent, directory)) as parent:
                return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as exc:
            if exc.errno in _IN_THE_WAY:
                return None
            raise

    @contextlib.contextmanager
    def opened(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The directory of something below the place, and its name there."""
        directory, _slash, name = self.below(path).rpartition(b"/")
        try:
            parent = open_directory(self.parent, directory)
        except OSError as exc:
            if exc.errno in _IN_THE_WAY:
                raise changing(self.shown(path)) from exc
            raise
        with opened(parent):
            yield parent, name

    def is_mount(self, path: bytes) -> bool:
        """Whether something is mounted exactly there.

        In our own mount namespace the kernel refuses to replace it (EBUSY); in the container's it would unmount it.
        """
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        with self.opened(path) as (parent, name), opened(os.open(name, flags, dir_fd=parent)) as found:
            return mount_id(found) != mount_id(parent)


def changing(path: str) -> Conflict:
    """Somebody else is at work there."""
    return Conflict(f"{path} changes while it is copied", hint="run the task again, or stop the container first")


@contextlib.contextmanager
def find(root: int, path: str, *, follow: bool, trusted: bool = True) -> Iterator[Place]:
    """The place that `path` means for a process whose root is `root`. The last component need not exist.

    With `follow`, a link there stands for what it points to. A link to a directory always does where links are
    `trusted`, elsewhere with a slash behind it.
    """
    parent, name = _resolve(root, path, follow=follow or _is_directory(root, path, trusted))
    with opened(parent):
        yield Place(parent, name, path)


def enter(root: int, path: str, name: str, *, trusted: bool = True) -> str:
    """The path of a file `name` that is copied to `path`: inside of it when it is a directory, or is to be one."""
    return os.path.join(path, name) if path.endswith("/") or _is_directory(root, path, trusted) else path


def _is_directory(root: int, path: str, trusted: bool) -> bool:
    flags = os.O_PATH if trusted else os.O_PATH | os.O_NOFOLLOW  # a slash at the end outdoes O_NOFOLLOW
    with contextlib.suppress(OSError), opened(open_in_root(root, path, flags)) as fd:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    return False


def _resolve(root: int, path: str, *, follow: bool) -> tuple[int, bytes]:
    at = path
    for _ in range(MAX_LINKS):
        directory, name = os.path.split(at.rstrip("/") or "/")
        if name in ("", ".", ".."):
            return _open(root, at, path), b"."
        parent = _open(root, directory, path)
        link = _link(parent, name) if follow else ""
        if not link:
            return parent, os.fsencode(name)
        os.close(parent)
        at = link if link.startswith("/") else f"{directory}/{link}"  # the kernel walks both, whatever they mean
    raise NotFound(f"{path} is a link that leads nowhere")


def _open(root: int, directory: str, path: str) -> int:
    try:
        return open_in_root(root, directory, os.O_PATH | os.O_DIRECTORY)
    except OSError as exc:
        if exc.errno in _IN_THE_WAY:
            raise NotFound(f"there is no directory {directory} for {path}", path=path, errno=exc.errno) from exc
        raise


def _link(parent: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOENT):
            return ""
        raise
