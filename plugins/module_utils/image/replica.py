# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of files, links and directories, made by descriptor in a place where somebody else may be at work.

Each thing is made beside its place under a name of its own, finished, and renamed: a reader sees the old one or the
new one, and nothing that stands in the place already, a link above all, is ever written through.

chown(2) clears setuid bits and `security.capability`, so the owner comes first, then the mode, then the attributes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from ..linux import libc
from ..linux.mount import fd_path
from . import attributes
from .tree import Item, walk

CHUNK = 2**20
INSIDE = libc.RESOLVE_BENEATH | libc.RESOLVE_NO_SYMLINKS | libc.RESOLVE_NO_MAGICLINKS
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Look(NamedTuple):
    """What a copy looks like from outside."""

    uid: int
    gid: int
    mode: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        """That of the original."""
        return cls(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_mtime_ns)


def copy_tree(source: int, target: int) -> None:
    """All that is below the directory `source`, and its own look, into the empty directory `target`, as it is."""
    first_names: dict[tuple[int, int], bytes] = {}
    directories = [_described(source, b"")]
    for item in walk(fd_path(source), cross=True):
        directory, _slash, name = item.path.rpartition(b"/")
        parent = open_directory(target, directory)
        try:
            inode = (item.stat.st_dev, item.stat.st_ino)
            if stat.S_ISDIR(item.stat.st_mode):
                os.mkdir(name, 0o700, dir_fd=parent)
                directories.append(_described(source, item.path))
            elif item.stat.st_nlink > 1 and inode in first_names:
                _link_again(target, first_names[inode], parent, name)
            else:
                first_names[inode] = item.path
                copy_item(item, parent, name)
        finally:
            os.close(parent)
    # Last, and the inner ones first: to make something in a directory changes its time.
    for path, look, extended in reversed(directories):
        with opened(open_directory(target, path, os.O_RDONLY)) as fd:
            dress(fd, look, extended)


def _described(root: int, path: bytes) -> tuple[bytes, Look, dict[str, bytes]]:
    with opened(open_directory(root, path, os.O_RDONLY)) as fd:
        return path, Look.of(os.fstat(fd)), attributes_of(fd)


def _link_again(target: int, first: bytes, parent: int, name: bytes) -> None:
    directory, _slash, origin = first.rpartition(b"/")
    with opened(open_directory(target, directory)) as above:
        os.link(origin, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)


def copy_item(item: Item, parent: int, name: bytes) -> None:
    """A file of any kind but a directory, as it is."""
    look = Look.of(item.stat)
    if stat.S_ISREG(item.stat.st_mode):
        with opened(open_file(item.parent, item.name)) as source:
            put_file(parent, name, look, lambda fd: copy_content(source, fd), attributes_of(source))
    elif stat.S_ISLNK(item.stat.st_mode):
        put_link(parent, name, look, item.link())
    elif not stat.S_ISSOCK(item.stat.st_mode):
        put_node(parent, name, look, item.stat)


def open_directory(root: int, path: bytes, flags: int = os.O_PATH) -> int:
    """A directory below `root`, no link on the way."""
    return libc.openat2(root, path or b".", flags | os.O_DIRECTORY, INSIDE)


def open_file(parent: int, name: bytes) -> int:
    """A regular file for reading; anything else is OSError. To open a pipe could take for ever, a device act."""
    with opened(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)) as found:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fsdecode(name))
        return os.open(fd_path(found), os.O_RDONLY | os.O_CLOEXEC)


def put_file(
    parent: int, name: bytes, look: Look, write: Callable[[int], None], extended: Optional[dict[str, bytes]] = None
) -> None:
    """A file whose content `write` puts into the descriptor that it is given."""

    def make(draft: bytes) -> None:
        with opened(os.open(draft, _CREATE, 0o600, dir_fd=parent)) as fd:
            write(fd)
            dress(fd, look, extended or {})

    _in_place(parent, name, make)


def put_link(parent: int, name: bytes, look: Look, text: bytes) -> None:
    """A symbolic link."""

    def make(draft: bytes) -> None:
        os.symlink(text, draft, dir_fd=parent)
        os.chown(draft, look.uid, look.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(draft, ns=(look.mtime_ns, look.mtime_ns), dir_fd=parent, follow_symlinks=False)

    _in_place(parent, name, make)


def put_node(parent: int, name: bytes, look: Look, found: os.stat_result) -> None:
    """A pipe or a device, where nothing is and nobody else is at work."""
    os.mknod(name, stat.S_IFMT(found.st_mode) | 0o600, found.st_rdev, dir_fd=parent)
    os.chown(name, look.uid, look.gid, dir_fd=parent, follow_symlinks=False)
    os.chmod(name, look.mode, dir_fd=parent)
    os.utime(name, ns=(look.mtime_ns, look.mtime_ns), dir_fd=parent, follow_symlinks=False)


def put_directory(parent: int, name: bytes, look: Look) -> None:
    """An empty directory, in place of what is no directory."""
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        os.unlink(name, dir_fd=parent)
    os.mkdir(name, 0o700, dir_fd=parent)
    with opened(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)) as fd:
        dress(fd, look, {})


def _in_place(parent: int, name: bytes, make: Callable[[bytes], None]) -> None:
    draft = b".mini." + os.urandom(8).hex().encode()
    try:
        make(draft)
        try:
            os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=parent)  # an empty one; what is in another is not ours to lose
            os.rename(draft, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft, dir_fd=parent)
        raise


def dress(fd: int, look: Look, extended: dict[str, bytes]) -> None:
    """Owner, mode, attributes and time of what is open."""
    os.fchown(fd, look.uid, look.gid)
    os.fchmod(fd, look.mode)
    for name, value in extended.items():
        os.setxattr(fd, name, value)
    os.utime(fd, ns=(look.mtime_ns, look.mtime_ns))


def attributes_of(fd: int) -> dict[str, bytes]:
    """The extended attributes that belong to the file and not to this host's security modules."""
    with contextlib.suppress(OSError):  # a file system that has none
        return {name: os.getxattr(fd, name) for name in os.listxattr(fd) if attributes.kept(name)}
    return {}


def copy_content(source: int, target: int) -> None:
    """The content, its holes as holes: an image may have a file of a few blocks that claims to be of exabytes."""
    size = os.fstat(source).st_size
    for start, end in _data(source, size):
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            sent = os.sendfile(target, source, start, min(CHUNK, end - start))
            if not sent:
                break  # it has become shorter
            start += sent
    os.ftruncate(target, size)


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Where there is something: from and to."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                return  # nothing but a hole is left
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


@contextlib.contextmanager
def opened(fd: int) -> Iterator[int]:
    """A descriptor that is closed at the end."""
    try:
        yield fd
    finally:
        os.close(fd)
