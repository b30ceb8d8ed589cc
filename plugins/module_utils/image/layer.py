# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack one layer into a private directory, whatever its archive says.

Every name is resolved as a process whose root is the layer would resolve it (openat2, RESOLVE_IN_ROOT), then the last
component is created by descriptor with O_EXCL; something that is there already is removed first, never written
through. So a link may point anywhere, as real images' do, and nothing that is unpacked follows it outside.

A layer lies on others, and what it does not say they say: the owner and mode of a directory that it only puts files
into, a link on the way to one, the file that it gives a second name (ground.py). In the bottom layer whiteouts have
nothing to hide and leave nothing behind, which holds for an imported root file system too: its tar becomes the bottom
layer, and any tool would read it so.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Optional

from ..core.errors import BadImage
from ..linux import libc
from ..linux.files import open_in_root
from . import attributes
from .below import Below
from .ground import Ground
from .membername import clean, show
from .replica import INSIDE
from .rooted import clear, is_same, mode_of, write_all
from .tarstream import (
    BLOCK_DEVICE,
    CHAR,
    DEFAULTS,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    Entry,
    Limits,
    TarStream,
)
from .whiteouts import Whiteouts, join, split

_IMAGE_FAULTS = (
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.EISDIR,
    errno.EINVAL,
    errno.EILSEQ,
    errno.EMLINK,
)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(stream: TarStream, root: str, *, below: Sequence[str] = (), limits: Limits = DEFAULTS) -> int:
    """Unpack all of `stream` into the directory `root`, which must be empty and out of others' reach.

    `below`: the unpacked layers it lies on, bottom to top. Returns the newest modification time, in ns.
    """
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        unpacker = _Unpacker(root_fd, stream, Below(below), limits)
        for entry in stream:
            unpacker.place(entry)
        unpacker.finish()
        return unpacker.newest
    finally:
        os.close(root_fd)


class _Unpacker:
    """The state of one unpacking: the last directory used, and what has to wait for the end."""

    def __init__(self, root_fd: int, stream: TarStream, below: Below, limits: Limits) -> None:
        self._root = root_fd
        self._stream = stream
        self._below = below
        self._limits = limits
        self._remembered = 0
        self._times: dict[bytes, int] = {}  # of directories: everything created in one changes its time
        self._whiteouts = Whiteouts()
        self._ground = Ground(root_fd, below, self._whiteouts.hides, self._restore_time, limits.entries)
        self.newest = 0

    def place(self, entry: Entry) -> None:
        """Create what the entry says."""
        path = clean(entry.name)
        self.newest = max(self.newest, entry.mtime_ns)
        if not path:  # the root itself: its mode is ours to choose
            return
        with _blame(path):
            directory, mark = split(path)
            if not mark:
                self._place(entry, path)
            elif self._below:
                self._mark(directory, mark)

    def _mark(self, directory: bytes, name: bytes) -> None:
        """A whiteout. Where there is no directory there is nothing to hide."""
        self._remember(directory + name)
        with suppress(FileNotFoundError, NotADirectoryError):
            self._whiteouts.add(self._ground.resolve(directory), name)
            self._ground.take_back()

    def _place(self, entry: Entry, path: bytes) -> None:
        directory, _slash, name = path.rpartition(b"/")
        parent = self._ground.directory(directory)
        try:
            self._create(entry, parent, path, name)
        finally:
            os.close(parent)

    def _create(self, entry: Entry, parent: int, path: bytes, name: bytes) -> None:
        if entry.kind == DIRECTORY:
            self._directory(entry, parent, path, name)
        elif entry.kind == HARDLINK:
            self._hardlink(entry, parent, name)
        else:
            clear(parent, name)
            if entry.kind == FILE:
                self._file(entry, parent, name)
            elif entry.kind == SYMLINK:
                os.symlink(entry.link, name, dir_fd=parent)
                attributes.of_link(entry, parent, name)
            else:
                _node(entry, parent, path, name)

    def _directory(self, entry: Entry, parent: int, path: bytes, name: bytes) -> None:
        """A directory that is there already is kept, with new attributes; a link to one is replaced."""
        mode = mode_of(parent, name)
        if not stat.S_ISDIR(mode):
            clear(parent, name)
            os.mkdir(name, 0o700, dir_fd=parent)
        real = join(self._ground.resolve(path.rpartition(b"/")[0]), name)
        if mode and not stat.S_ISDIR(mode):
            self._whiteouts.hide(real)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_ISDIR(mode):
                attributes.drop(fd)
            attributes.of_open(entry, fd)
        finally:
            os.close(fd)
        self._ground.keep(real)
        self._restore_time(real, entry.mtime_ns)

    def _file(self, entry: Entry, parent: int, name: bytes) -> None:
        fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
        try:
            self._write(entry, fd)
            attributes.of_open(entry, fd)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)

    def _write(self, entry: Entry, fd: int) -> None:
        """The content, piece by piece; what lies between two pieces stays a hole."""
        if len(entry.pieces) == 1 and entry.pieces[0][0] == 0:
            for data in self._stream.content():
                write_all(fd, data)
        elif entry.pieces:
            self._write_pieces(entry, fd)
        if entry.size != sum(length for _offset, length in entry.pieces):
            os.ftruncate(fd, entry.size)

    def _write_pieces(self, entry: Entry, fd: int) -> None:
        pieces = iter(entry.pieces)
        left = 0
        for data in self._stream.content():
            view = memoryview(data)
            while view:
                while not left:
                    offset, left = next(pieces)
                    os.lseek(fd, offset, os.SEEK_SET)
                part = view[:left]
                write_all(fd, part)
                left -= len(part)
                view = view[len(part) :]

    def _hardlink(self, entry: Entry, parent: int, name: bytes) -> None:
        """A second name for a file of this layer or one below. A link is itself linked, not what it points to."""
        origin, source = self._origin(entry)
        try:
            if is_same(origin, source, parent, name):
                return
            clear(parent, name)
            os.link(source, name, src_dir_fd=origin, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(origin)

    def _origin(self, entry: Entry) -> tuple[int, bytes]:
        """What a hard link leads to: its directory, open, and its name."""
        directory, _slash, source = clean(entry.link).rpartition(b"/")
        try:
            real = self._ground.resolve(directory)
            self._ground.bring(join(real, source), self._stream.charge)
            origin = open_in_root(self._root, real, os.O_PATH | os.O_DIRECTORY)
        except OSError as exc:
            raise _no_target(entry) from exc
        mode = mode_of(origin, source) if source else 0
        if not mode or stat.S_ISDIR(mode):
            os.close(origin)
            raise _no_target(entry)
        return origin, source

    def finish(self) -> None:
        """Whiteouts, and the times of directories, which everything before has changed."""
        with _blame(b"a whiteout"):
            self._whiteouts.write(self._ground, self._below)
        for path, time_ns in self._times.items():
            try:
                fd = libc.openat2(self._root, path, os.O_RDONLY | os.O_DIRECTORY, INSIDE)
            except OSError:
                continue  # it was replaced since
            try:
                os.utime(fd, ns=(time_ns, time_ns))
            finally:
                os.close(fd)

    def _restore_time(self, path: bytes, time_ns: Optional[int]) -> None:
        self._remember(path)
        if time_ns is None:
            self._times.pop(path, None)
        else:
            self._times[path] = time_ns

    def _remember(self, path: bytes) -> None:
        self._remembered += len(path)
        if self._remembered > self._limits.remembered:
            raise BadImage("the names of the archive's directories are too long together")


@contextmanager
def _blame(path: bytes) -> Iterator[None]:
    """What the kernel refuses because of a name is the image's fault, and said so."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _IMAGE_FAULTS:
            raise
        raise BadImage(f"{show(path)} cannot be unpacked: {exc.strerror}", errno=exc.errno) from exc


def _node(entry: Entry, parent: int, path: bytes, name: bytes) -> None:
    """A device or a pipe. A character device 0:0 is overlayfs's mark for "deleted", so no image may bring one."""
    kinds = {CHAR: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
    if not (0 <= entry.major < 2**12 and 0 <= entry.minor < 2**20):
        raise BadImage(f"{show(path)}: there is no device {entry.major}:{entry.minor}")
    if entry.kind == CHAR and entry.major == entry.minor == 0:
        raise BadImage(f"{show(path)}: a character device 0:0 is a mark of the overlay file system, not a file")
    device = 0 if entry.kind == FIFO else os.makedev(entry.major, entry.minor)
    os.mknod(name, kinds[entry.kind] | 0o600, device, dir_fd=parent)
    attributes.of_node(entry, parent, name)


def _no_target(entry: Entry) -> BadImage:
    return BadImage(f"{show(entry.name)} is a hard link to {show(entry.link)}, which is no file of the image so far")
