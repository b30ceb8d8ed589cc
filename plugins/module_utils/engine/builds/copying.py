# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies into the root of a stage, as COPY makes them.

A directory gives its content, a file itself: into the destination when that is a directory or is written with a slash
at its end, else under its name. Links on the way to the destination are those of the image and are followed inside of
it; below the destination none is. Nobody else is at work in the root.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import NamedTuple, Optional

from ...core.errors import BadInput
from ...image.attributes import CAPABILITY
from ...image.replica import (
    Look,
    attributes_of,
    copy_content,
    dress,
    open_directory,
    open_file,
    opened,
    put_file,
    put_link,
    put_node,
)
from ...image.rooted import clear, mode_of, write_all
from ...image.tree import Item
from ...linux.files import open_in_root
from ..copies.place import MAX_LINKS, find
from . import modes
from .sources import Tree

_SETID = 0o6000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Dress(NamedTuple):
    """What copies look like, where it is not as the original.

    The setuid bit and the capabilities that a file of a context has were given by somebody else than root, who gets the
    copy: they stay behind, unless the original is `trusted`.
    """

    owner: Optional[tuple[int, int]] = None
    mode: str = ""
    trusted: bool = False

    def of(self, found: os.stat_result) -> Look:
        """The look of a copy."""
        look = Look.of(found)
        kept = look.mode if self.trusted or not stat.S_ISREG(found.st_mode) else look.mode & ~_SETID
        uid, gid = self.owner or (look.uid, look.gid)
        return Look(uid, gid, self.changed(kept, directory=stat.S_ISDIR(found.st_mode)), look.mtime_ns)

    def changed(self, mode: int, *, directory: bool = False) -> int:
        """The mode that is asked for, if any."""
        return modes.changed(self.mode, mode, directory=directory) if self.mode else mode

    def attributes(self, original: int) -> dict[str, bytes]:
        """The extended attributes of a copy."""
        found = attributes_of(original)
        return {name: value for name, value in found.items() if self.trusted or name != CAPABILITY}


class Copier:
    """Copies into one root, an open directory."""

    def __init__(self, root: int, dress: Dress) -> None:
        self._root = root
        self._dress = dress
        self._times: dict[str, int] = {}  # of directories: everything made in one changes its time
        self._first_names: dict[tuple[int, int], str] = {}

    def copy(self, tree: Tree, path: str, target: str) -> None:
        """What `path` means in the tree, to the absolute path `target`."""
        items = tree.items(path)
        top = next(items)
        if not stat.S_ISDIR(top.stat.st_mode):
            self._file(top, self._inside(target, os.path.basename(path)))
            return
        if not self.is_directory(target):
            self.make(target, top.stat.st_mtime_ns)
            self._dress_directory(target, self._dress.of(top.stat), top)
        for item in items:
            self._below(target, item)

    def write(self, content: bytes, name: str, target: str, time_ns: int) -> None:
        """A file with a content of its own."""
        path = self._inside(target, name)
        self.make(os.path.dirname(path), time_ns)
        self._touch(os.path.dirname(path))
        look = Look(*(self._dress.owner or (0, 0)), self._dress.changed(0o644), time_ns)
        with find(self._root, path, follow=True) as place:
            put_file(place.parent, place.name, look, lambda fd: write_all(fd, content))

    def make(self, path: str, time_ns: int, links: int = 0) -> None:
        """A directory with those above it, where they are missing. A link that leads nowhere yet leads there then."""
        done = "/"
        for part in path.strip("/").split("/"):
            above, done = done, os.path.join(done, part)
            if part and not self.is_directory(done):
                text = self._make_one(above, part, time_ns)
                if text:
                    if links == MAX_LINKS:
                        raise BadInput(f"{done} is a link that leads nowhere")
                    self.make(os.path.join(above, text), time_ns, links + 1)

    def _make_one(self, above: str, name: str, time_ns: int) -> str:
        """A directory in another one; or, if a link stands there, what that says."""
        path = os.path.join(above, name)
        with opened(open_in_root(self._root, above, os.O_PATH | os.O_DIRECTORY)) as parent:
            mode = mode_of(parent, os.fsencode(name))
            if stat.S_ISLNK(mode):
                return os.readlink(name, dir_fd=parent)
            if mode:
                raise BadInput(f"{path} is there, and is no directory")
            self._touch(above)
            os.mkdir(name, 0o755, dir_fd=parent)
        self._dress_directory(path, Look(*(self._dress.owner or (0, 0)), 0o755, time_ns))
        return ""

    def finish(self) -> None:
        """Give directories their times: what was made in them has changed those."""
        for path, time_ns in reversed(self._times.items()):
            with opened(open_in_root(self._root, path, _DIRECTORY)) as fd:
                os.utime(fd, ns=(time_ns, time_ns))

    def is_directory(self, path: str) -> bool:
        """Whether a path leads to a directory."""
        with suppress(OSError), opened(open_in_root(self._root, path, os.O_PATH)) as fd:
            return stat.S_ISDIR(os.fstat(fd).st_mode)
        return False

    def _inside(self, target: str, name: str) -> str:
        return os.path.join(target, name) if target.endswith("/") or self.is_directory(target) else target

    def _touch(self, path: str) -> None:
        """Remember the time that a directory has before anything is made in it."""
        if path not in self._times:
            with opened(open_in_root(self._root, path, os.O_PATH | os.O_DIRECTORY)) as fd:
                self._times[path] = os.fstat(fd).st_mtime_ns

    def _dress_directory(self, path: str, look: Look, item: Optional[Item] = None) -> None:
        extended: dict[str, bytes] = {}
        if item is not None:
            with opened(open_directory(item.parent, item.name, os.O_RDONLY)) as original:
                extended = self._dress.attributes(original)
        with opened(open_in_root(self._root, path, _DIRECTORY)) as fd:
            dress(fd, look, extended)
        self._times[path] = look.mtime_ns

    def _file(self, item: Item, target: str) -> None:
        """A single file at a path, or where a link at that path leads."""
        directory = os.path.dirname(target)
        self.make(directory, item.stat.st_mtime_ns)
        self._touch(directory)
        with find(self._root, target, follow=True) as place:
            self._put(item, place.parent, place.name, target)

    def _below(self, target: str, item: Item) -> None:
        """A member of a directory that is copied. Its own directory is there by now, and is no link."""
        path = os.path.join(target, os.fsdecode(item.path))
        above, _slash, name = item.path.rpartition(b"/")
        flags = os.O_PATH | os.O_DIRECTORY
        with opened(open_in_root(self._root, target, flags)) as base, opened(open_directory(base, above)) as parent:
            there = mode_of(parent, name)
            if not stat.S_ISDIR(item.stat.st_mode):
                self._touch(os.path.dirname(path))
                self._put(item, parent, name, path)
                return
            if there and not stat.S_ISDIR(there):
                raise BadInput(f"{path} is there, and is no directory")
            if not there:
                self._touch(os.path.dirname(path))
                os.mkdir(name, 0o700, dir_fd=parent)
        self._dress_directory(path, self._dress.of(item.stat), item)

    def _put(self, item: Item, parent: int, name: bytes, path: str) -> None:
        if stat.S_ISDIR(mode_of(parent, name)):
            raise BadInput(f"{path} is a directory, which a file cannot replace")
        look, kind = self._dress.of(item.stat), stat.S_IFMT(item.stat.st_mode)
        if kind == stat.S_IFREG:
            self._put_file(item, look, parent, name, path)
        elif kind == stat.S_IFLNK:
            put_link(parent, name, look, item.link())
        elif stat.S_ISCHR(kind) and item.stat.st_rdev == 0:
            raise BadInput(f"{path}: a character device 0:0 is a mark of the overlay file system, and cannot be copied")
        elif kind != stat.S_IFSOCK:
            clear(parent, name)
            put_node(parent, name, look, item.stat)

    def _put_file(self, item: Item, look: Look, parent: int, name: bytes, path: str) -> None:
        """Names of one file stay that."""
        inode = (item.stat.st_dev, item.stat.st_ino)
        if item.stat.st_nlink > 1 and inode in self._first_names:
            clear(parent, name)
            directory, first = os.path.split(self._first_names[inode])
            with opened(open_in_root(self._root, directory, os.O_PATH | os.O_DIRECTORY)) as above:
                os.link(first, name, src_dir_fd=above, dst_dir_fd=parent, follow_symlinks=False)
            return
        with opened(open_file(item.parent, item.name)) as source:
            put_file(parent, name, look, lambda fd: copy_content(source, fd), self._dress.attributes(source))
        self._first_names[inode] = path
