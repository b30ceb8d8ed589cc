# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be copied, member by member: a directory and all below it, a file, or a content."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple, Optional

from ...core.errors import NotFound
from ...image.replica import Look, copy_content, open_directory, open_file, opened
from ...image.rooted import write_all
from ...image.tree import walk
from ...linux.mount import fd_path
from .place import Place, changing

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
_CHUNK = 2**20


class Member(NamedTuple):
    """A file, directory or link; nothing else is copied. `path` is below the top, empty for the top itself."""

    path: bytes
    kind: int
    look: Look
    size: int = 0
    link: bytes = b""


class Tree:
    """What stands at a place."""

    def __init__(self, place: Place, skip: Collection[bytes] = ()) -> None:
        self.place = place
        self.skip = skip
        found = place.stat(b"")
        if found is None:
            raise NotFound(f"{place.path} does not exist", path=place.path)
        self.top = found

    @property
    def is_directory(self) -> bool:
        """Whether there may be more than one member."""
        return stat.S_ISDIR(self.top.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether a link itself is to be copied."""
        return stat.S_ISLNK(self.top.st_mode)

    def members(self) -> Iterator[Member]:
        """The top, then all below it, directories before what is in them."""
        place = self.place
        link = os.readlink(place.name, dir_fd=place.parent) if self.is_link else b""
        yield _member(b"", self.top, link)
        if not self.is_directory:
            return
        with opened(open_directory(place.parent, place.name)) as top:
            for item in walk(fd_path(top), self.skip, cross=True):
                if stat.S_IFMT(item.stat.st_mode) in KINDS:
                    yield _member(item.path, item.stat, item.link() if stat.S_ISLNK(item.stat.st_mode) else b"")

    def open(self, member: Member) -> int:
        """The member's content; `Conflict` when it is a file no more."""
        with self.place.opened(member.path) as (parent, name):
            try:
                return open_file(parent, name)
            except OSError as exc:
                raise changing(self.place.shown(member.path)) from exc

    def write(self, member: Member, target: int) -> None:
        """Put the content into a new file."""
        with opened(self.open(member)) as source:
            copy_content(source, target)

    def same(self, member: Member, other: int) -> bool:
        """Whether an open file has the same content."""
        with opened(self.open(member)) as source:
            while True:
                data = os.read(source, _CHUNK)
                if data != _read(other, len(data) or 1):
                    return False
                if not data:
                    return True

    def read(self, member: Member, most: int) -> bytes:
        """The beginning of the content."""
        with opened(self.open(member)) as source:
            return _read(source, most)


class Content:
    """A content that the task has itself."""

    is_directory = False

    def __init__(self, content: bytes) -> None:
        self.content = content

    def members(self) -> Iterator[Member]:
        """The one."""
        yield Member(b"", stat.S_IFREG, Look(0, 0, 0o644, time.time_ns()), len(self.content))

    def write(self, member: Member, target: int) -> None:
        """Put it into a new file."""
        write_all(target, self.content)

    def same(self, member: Member, other: int) -> bool:
        """Whether an open file has it."""
        return _read(other, len(self.content) + 1) == self.content

    def read(self, member: Member, most: int) -> bytes:
        """Its beginning."""
        return self.content[:most]


def _member(path: bytes, found: os.stat_result, link: bytes) -> Member:
    return Member(path, stat.S_IFMT(found.st_mode), Look.of(found), found.st_size, link)


def _read(fd: int, most: int) -> bytes:
    """Up to `most` bytes; fewer at the end only."""
    found = bytearray()
    while len(found) < most:
        data = os.read(fd, most - len(found))
        if not data:
            break
        found += data
    return bytes(found)


def beginning(place: Place, most: int) -> Optional[bytes]:
    """The beginning of the file at a place; None when there is no file."""
    found = place.stat(b"")
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    with place.opened(b"") as (parent, name), opened(open_file(parent, name)) as fd:
        return _read(fd, most)
