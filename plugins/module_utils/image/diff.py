# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory as the tar of a layer: a root file system whole, or what a container has changed.

A container's changes are its overlay's upper directory, in which a character device 0:0 stands for "deleted" and an
attribute for "nothing of the layers below": both become the whiteouts of the image specification. Sockets are left
out, as every tar leaves them out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress

from ..core.errors import BadInput
from . import attributes
from .membername import show
from .tarstream import BLOCK_DEVICE, CHAR, CHUNK, DIRECTORY, FIFO, FILE, HARDLINK, SYMLINK, Entry
from .tarwriter import END, header, padding
from .tree import Item, attribute_names, walk
from .whiteouts import OPAQUE, WHITEOUT

_KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHAR,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
_INCOMPLETE = ("trusted.overlay.redirect", "trusted.overlay.metacopy")


class Packed:
    """A stream made of the pieces of a generator."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int) -> bytes:
        """The next piece, `b""` at the end. Pieces are small, so `size` is not looked at."""
        return next(self._pieces, b"")


def pack(root: str, skip: Collection[bytes] = (), *, overlay: bool = False) -> Iterator[bytes]:
    """The tar of a directory, in pieces. `overlay`: it is the upper directory of an overlay mount."""
    first_names: dict[tuple[int, int], bytes] = {}
    for item in walk(root, skip):
        if overlay and _is_whiteout(item):
            yield _mark(item.path, WHITEOUT + item.name)
            continue
        if item.name.startswith(WHITEOUT):
            raise BadInput(f"{show(item.path)} cannot be in an image: names in .wh. stand for deleted files")
        yield from _member(item, first_names)
        if overlay and stat.S_ISDIR(item.stat.st_mode) and _is_opaque(item):
            yield _mark(item.path + b"/.", OPAQUE)
    yield END


def _member(item: Item, first_names: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    kind = _KINDS.get(stat.S_IFMT(item.stat.st_mode))
    if kind is None:
        return
    inode = (item.stat.st_dev, item.stat.st_ino)
    if item.stat.st_nlink > 1 and kind != DIRECTORY:
        if inode in first_names:
            yield header(_entry(item, HARDLINK, link=first_names[inode]))
            return
        first_names[inode] = item.path
    if kind == FILE:
        yield from _file(item)
    elif kind == SYMLINK:
        link = item.link()
        if link:
            yield header(_entry(item, kind, link=link))
    else:
        yield header(_entry(item, kind))


def _file(item: Item) -> Iterator[bytes]:
    """As many bytes as the header says: a file that grows meanwhile is cut, one that shrinks is filled with zeros."""
    try:
        fd = os.open(item.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=item.parent)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ELOOP):
            return  # removed or replaced meanwhile
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return
        yield header(_entry(item._replace(stat=found), FILE, size=found.st_size))
        left = found.st_size
        while left:
            data = os.read(fd, min(left, CHUNK)) or bytes(min(left, CHUNK))
            left -= len(data)
            yield data
        if found.st_size % 512:
            yield padding(found.st_size)
    finally:
        os.close(fd)


def _entry(item: Item, kind: bytes, *, size: int = 0, link: bytes = b"") -> Entry:
    found = item.stat
    is_device = kind in (CHAR, BLOCK_DEVICE)
    return Entry(
        name=item.path + b"/" if kind == DIRECTORY else item.path,
        kind=kind,
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        mtime_ns=found.st_mtime_ns,
        size=size,
        link=link,
        major=os.major(found.st_rdev) if is_device else 0,
        minor=os.minor(found.st_rdev) if is_device else 0,
        xattrs=_attributes(item) if kind in (FILE, DIRECTORY) else {},
    )


def _attributes(item: Item) -> dict[str, bytes]:
    names = attribute_names(item)
    if any(name in _INCOMPLETE for name in names):
        raise BadInput(
            f"{show(item.path)} is not whole in the container's own directory",
            hint="the overlay was mounted with redirect_dir or metacopy: create the container anew",
        )
    found: dict[str, bytes] = {}
    for name in names:
        if attributes.kept(name) and not name.startswith(attributes.ENGINE):
            with suppress(OSError):  # removed meanwhile
                found[name] = os.getxattr(item.proc, name, follow_symlinks=False)
    return found


def _is_whiteout(item: Item) -> bool:
    return stat.S_ISCHR(item.stat.st_mode) and item.stat.st_rdev == 0


def _is_opaque(item: Item) -> bool:
    try:
        return os.getxattr(item.proc, attributes.OVERLAY_OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _mark(path: bytes, name: bytes) -> bytes:
    directory = path.rpartition(b"/")[0]
    full = directory + b"/" + name if directory else name
    return header(Entry(name=full, kind=FILE, mode=0, uid=0, gid=0, mtime_ns=0))
