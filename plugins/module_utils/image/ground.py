# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory a layer is unpacked into, together with the layers below it: every path as a container will see it.

`usr/bin/new` of an upper layer belongs into the directory that a lower one has, with that one's owner and mode, though
the archive does not name it; and `bin/new` goes to the same place where a lower layer has the link `bin -> usr/bin`.
What this layer has itself the kernel finds (openat2, RESOLVE_IN_ROOT). Only where that ends, at something that is not
there yet, the path is walked here, a component at a time, by the same rules.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Callable, Optional

from ..core.errors import BadImage
from ..linux.files import open_in_root
from .below import Below, Found
from .replica import Look, attributes_of, copy_item, dress, opened
from .tree import Item

_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_MAX_LINKS = 40  # as the kernel's (MAXSYMLINKS)


class Ground:
    """`hides` tells what this layer takes away of those below; `made` is told a directory's time, or that it is gone.

    At most `limit` directories are made that no member names.
    """

    def __init__(
        self,
        root: int,
        below: Below,
        hides: Callable[[bytes], bool],
        made: Callable[[bytes, Optional[int]], None],
        limit: int,
    ) -> None:
        self._root = root
        self._below = below
        self._hides = hides
        self._made = made
        self._left = limit
        self._brought: dict[bytes, int] = {}  # path to inode

    def directory(self, path: bytes) -> int:
        """An O_PATH descriptor of a directory, made with its parents where they are missing."""
        try:
            return open_in_root(self._root, path, _DIRECTORY)
        except FileNotFoundError:
            return open_in_root(self._root, self._walk(path, make=True), _DIRECTORY)

    def resolve(self, path: bytes) -> bytes:
        """The same directory without links on the way; FileNotFoundError where there is none, here or below."""
        return self._walk(path, make=False)

    def real(self, path: bytes) -> Optional[bytes]:
        """As `resolve`; None where there is no directory."""
        try:
            return self.resolve(path)
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def below(self, path: bytes) -> Optional[Found]:
        """What the layers below have under a path without links, and this one does not hide."""
        return None if not self._below or self._hides(path) else self._below.find(path)

    def bring(self, path: bytes, charge: Callable[[int], None]) -> None:
        """Copy a file of the layers below to its place in this one, if it has none there, to be given another name.

        Its size is told to `charge` before: a layer of a few names could have copies made of all that is below.
        """
        found = None if self._has(path) else self.below(path)
        if found is None or stat.S_ISDIR(found.stat.st_mode):
            return
        charge(found.stat.st_size)
        directory, _slash, name = path.rpartition(b"/")
        with opened(self._of_layer(found, directory)) as source, opened(self.directory(directory)) as target:
            copy_item(Item(path, source, name, found.stat), target, name)
            self._brought[path] = os.stat(name, dir_fd=target, follow_symlinks=False).st_ino

    def take_back(self) -> None:
        """Remove what was brought under names that the layer hides now. New names of it stay, and full directories."""
        for path in sorted((path for path in self._brought if self._hides(path)), reverse=True):
            inode = self._brought.pop(path)
            directory, _slash, name = path.rpartition(b"/")
            if self.real(directory) == directory:
                with opened(self.directory(directory)) as parent, suppress(FileNotFoundError):
                    if os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino == inode:
                        self._remove(parent, name, path)

    def _remove(self, parent: int, name: bytes, path: bytes) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            with suppress(OSError):  # it is not empty
                os.rmdir(name, dir_fd=parent)
                self._made(path, None)

    def keep(self, path: bytes) -> None:
        """A member names the directory: it is this layer's."""
        self._brought.pop(path, None)

    def _has(self, path: bytes) -> bool:
        try:
            os.stat(path, dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _walk(self, path: bytes, *, make: bool) -> bytes:
        todo, links = path.split(b"/")[::-1], 0
        done: list[bytes] = []
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del done[-1:]
                continue
            done.append(part)
            here = b"/".join(done)
            target = self._step(here, make=make)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                done = [] if target.startswith(b"/") else done[:-1]
                todo += target.split(b"/")[::-1]
        return b"/".join(done)

    def _step(self, here: bytes, *, make: bool) -> Optional[bytes]:
        """Where the link at `here` points; nothing when a directory is there, or was made."""
        try:
            mode = os.stat(here, dir_fd=self._root, follow_symlinks=False).st_mode
            found = None
        except FileNotFoundError:
            found = self.below(here)
            mode = found.stat.st_mode if found else 0
        if stat.S_ISLNK(mode):
            return self._link(here, found)
        if not (stat.S_ISDIR(mode) or (make and not mode)):
            number = errno.ENOTDIR if mode else errno.ENOENT
            raise OSError(number, os.strerror(number))
        if make and (found or not mode):
            self._make(here, found)
        return None

    def _link(self, here: bytes, found: Optional[Found]) -> bytes:
        if found is None:
            return os.readlink(here, dir_fd=self._root)
        with opened(os.open(found.layer, _DIRECTORY | os.O_CLOEXEC)) as layer:
            return os.readlink(here, dir_fd=layer)

    def _make(self, here: bytes, found: Optional[Found]) -> None:
        """A directory that no member has named: as the one below, or as mkdir makes it."""
        self._left -= 1
        if self._left < 0:
            raise BadImage("the archive has too many directories without an entry of their own")
        os.mkdir(here, 0o755, dir_fd=self._root)
        if found is None:
            made = os.stat(here, dir_fd=self._root, follow_symlinks=False).st_mode
            os.chmod(here, 0o755 | made & stat.S_ISGID, dir_fd=self._root)  # whatever the umask
            return
        with opened(self._of_layer(found, here)) as source, opened(_open(self._root, here)) as target:
            dress(target, Look.of(found.stat), attributes_of(source))
            self._brought[here] = os.fstat(target).st_ino
        self._made(here, found.stat.st_mtime_ns)

    def _of_layer(self, found: Found, path: bytes) -> int:
        with opened(os.open(found.layer, _DIRECTORY | os.O_CLOEXEC)) as layer:
            return _open(layer, path)


def _open(root: int, path: bytes) -> int:
    return open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
