# SPDX-License-Identifier: GPL-3.0-or-later
"""Walk a directory that somebody else may be changing: no link is followed, no mount entered, any depth.

The upper directory of a running container is such a one: between two looks a directory may have become a link to the
host's /etc. So every directory is opened from the root with RESOLVE_NO_SYMLINKS, and its members by its descriptor.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from ..core.errors import BadInput
from ..linux import libc

_RESOLVE = libc.RESOLVE_BENEATH | libc.RESOLVE_NO_SYMLINKS | libc.RESOLVE_NO_MAGICLINKS
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)


class Item(NamedTuple):
    """One member: its path below the root, and how to reach it by descriptor while it is the current one."""

    path: bytes
    parent: int
    name: bytes
    stat: os.stat_result

    @property
    def proc(self) -> bytes:
        """A path for calls that take no descriptor of a directory. The last component is a link, perhaps."""
        return b"/proc/self/fd/%d/%s" % (self.parent, self.name)

    def link(self) -> bytes:
        """Where the symbolic link points; nothing when it is none any more."""
        try:
            return os.readlink(self.name, dir_fd=self.parent)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.EINVAL):
                return b""
            raise


def walk(root: str, skip: Collection[bytes] = (), *, cross: bool = False) -> Iterator[Item]:
    """All members below `root`, each directory's in order and before those of its subdirectories.

    `skip` are paths that are left out, with all below them. A mount point is an empty directory, unless mounts are to
    be crossed.
    """
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        device = os.fstat(root_fd).st_dev
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            below: list[bytes] = []
            for item in _members(root_fd, path, _RESOLVE if cross else _RESOLVE | libc.RESOLVE_NO_XDEV):
                inside = cross or item.stat.st_dev == device
                if item.path in skip or not (inside or stat.S_ISDIR(item.stat.st_mode)):
                    continue
                if stat.S_ISDIR(item.stat.st_mode) and inside:
                    below.append(item.path)
                yield item
            waiting.extend(reversed(below))
    finally:
        os.close(root_fd)


def _members(root_fd: int, path: bytes, resolve: int) -> Iterator[Item]:
    try:
        parent = libc.openat2(root_fd, path or b".", os.O_RDONLY | os.O_DIRECTORY, resolve)
    except OSError as exc:
        if exc.errno in _GONE and path:
            return  # it was removed, or is no directory any more
        if exc.errno == errno.ENAMETOOLONG:
            raise BadInput("a directory is nested too deeply to be put in an image", path=os.fsdecode(path)) from exc
        raise
    try:
        for name in sorted(os.fsencode(name) for name in os.listdir(parent)):
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                yield Item(path + b"/" + name if path else name, parent, name, found)
    finally:
        os.close(parent)


def fingerprint(root: str, skip: Collection[bytes] = ()) -> str:
    """A digest of all that a listing shows: what changes a file changes its size or time, as rsync has it."""
    digest = hashlib.sha256()
    for item in walk(root, skip):
        found = item.stat
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        shown = (found.st_mode, found.st_uid, found.st_gid, size, found.st_mtime_ns, found.st_rdev)
        link = item.link() if stat.S_ISLNK(found.st_mode) else b""
        digest.update(repr((item.path, shown, link, attribute_names(item))).encode())
    return "sha256:" + digest.hexdigest()


def attribute_names(item: Item) -> list[str]:
    """The names of the extended attributes, none where the file system has none."""
    try:
        return sorted(os.listxattr(item.proc, follow_symlinks=False))
    except OSError:
        return []
