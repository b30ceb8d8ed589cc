# SPDX-License-Identifier: GPL-3.0-or-later
"""What COPY and ADD take: names in the context, or in the root of a stage, that patterns mean, and what is below them.

Whoever wrote the context may have put anything there. A path is walked by the kernel with the top as its root, so
no link leads outside; nothing but a regular file is ever opened; and what is looked at is held by descriptor.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple, Optional

from ...core.errors import NotFound
from ...image.containerfile.patterns import Ignore, component, has_magic
from ...image.replica import attributes_of, open_directory, open_file, opened
from ...image.tree import Item, walk
from ...linux.files import open_in_root
from ...linux.mount import fd_path
from ..copies.place import Place, find

_PIECE = 2**20


class Tree(NamedTuple):
    """A directory, open as `root`. `owned`: owners count, as those in a stage do and those in a context do not.

    Names that are to be ignored count from the root, those to be excluded from each source.
    """

    root: int
    ignore: Optional[Ignore] = None
    owned: bool = False
    exclude: Optional[Ignore] = None

    def find(self, pattern: str) -> list[str]:
        """The paths, from the top and in order, that a source of COPY means.

        `NotFound` for a name that there is not; a pattern may match nothing, as in BuildKit.
        """
        path = os.path.normpath("/" + pattern).strip("/")
        found = self._matching("", path.split("/")) if has_magic(path) else [path]
        found = [one for one in found if self._is_wanted(one)]
        if not found and not has_magic(path):
            hint = "" if self.owned else "names count from the top of the context, without what is ignored"
            raise NotFound(f"there is no {pattern}", hint=hint or None)
        return found

    def _matching(self, directory: str, patterns: list[str]) -> list[str]:
        """Names are matched component by component, as the directories have them."""
        head, *rest = patterns
        names = [head]
        if has_magic(head):
            expression = component(head)
            names = [name for name in self._names(directory) if expression.match(name)]
        paths = [os.path.join(directory, name) for name in names]
        return [found for path in paths for found in self._matching(path, rest)] if rest else paths

    def _names(self, directory: str) -> list[str]:
        flags = os.O_RDONLY | os.O_DIRECTORY
        with contextlib.suppress(OSError), opened(open_in_root(self.root, directory, flags)) as fd:
            return sorted(os.listdir(fd))
        return []

    def _is_wanted(self, path: str) -> bool:
        """Whether there is something that is not ignored, or a directory with such a thing in it."""
        try:
            with self._top(path) as (place, real):
                found = place.stat(b"")
                if found is None or not self.ignore or not real or not self.ignore.matches(real):
                    return found is not None
                return stat.S_ISDIR(found.st_mode) and bool(_skip(place, (self.ignore, real)).needed)
        except (OSError, NotFound):
            return False

    def is_file(self, path: str) -> bool:
        """Whether the path means a regular file."""
        with self._top(path) as (place, _real):
            found = place.stat(b"")
            return found is not None and stat.S_ISREG(found.st_mode)

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[int]:
        """The content of the regular file that the path means."""
        with self._top(path) as (place, _real), opened(open_file(place.parent, place.name)) as fd:
            yield fd

    @contextlib.contextmanager
    def _top(self, path: str) -> Iterator[tuple[Place, str]]:
        """What a path means, links followed, and where below the root that is."""
        with find(self.root, "/" + path, follow=True) as place:
            with opened(os.open(place.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.parent)) as fd:
                real, above = os.readlink(fd_path(fd)), os.readlink(fd_path(self.root)).rstrip("/")
            yield place, real[len(above) :].strip("/")

    def items(self, path: str) -> Iterator[Item]:
        """What is there, and all below it; the path of the first is empty."""
        with self._top(path) as (place, real):
            found = place.stat(b"")
            if found is None:
                raise NotFound(f"{path} has gone meanwhile", hint="run the task again")
            yield Item(b"", place.parent, place.name, found)
            if stat.S_ISDIR(found.st_mode):
                rules = [(one, at) for one, at in ((self.ignore, real), (self.exclude, "")) if one]
                with opened(open_directory(place.parent, place.name)) as top:
                    yield from walk(fd_path(top), _skip(place, *rules) if rules else (), cross=True)

    def digest(self, path: str) -> str:
        """Of names, kinds, modes and contents. Times are none of it, and owners only where they count."""
        digest = hashlib.sha256()
        for item in self.items(path):
            digest.update(repr((item.path, *self._shown(item))).encode())
        return digest.hexdigest()

    def _shown(self, item: Item) -> tuple[object, ...]:
        found = item.stat
        owner = (found.st_uid, found.st_gid) if self.owned else ()
        if stat.S_ISREG(found.st_mode):
            with opened(open_file(item.parent, item.name)) as fd:
                return found.st_mode, owner, sorted(attributes_of(fd).items()), _content(fd)
        return found.st_mode, owner, found.st_rdev, item.link() if stat.S_ISLNK(found.st_mode) else b""


class _Skip(Collection[bytes]):
    """The paths below a directory that are left out. `needed` are directories with wanted things in them.

    Each rule counts from another place above the directory.
    """

    def __init__(self, rules: Collection[tuple[Ignore, str]]) -> None:
        self.needed: set[bytes] = set()
        self._rules = rules

    def __contains__(self, path: object) -> bool:
        return isinstance(path, bytes) and path not in self.needed and self._ignored(path)

    def _ignored(self, path: bytes) -> bool:
        name = os.fsdecode(path)
        return any(ignore.matches(os.path.join(above, name)) for ignore, above in self._rules)

    def consider(self, path: bytes) -> None:
        """Keep the directories on the way to what is wanted."""
        if not self._ignored(path):
            while path:
                path = path.rpartition(b"/")[0]
                self.needed.add(path)

    def __len__(self) -> int:
        raise NotImplementedError("nobody knows what all may be ignored")

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError("nobody knows what all may be ignored")


def _skip(place: Place, *rules: tuple[Ignore, str]) -> _Skip:
    """Where there are exceptions, a directory is looked through for them first."""
    skip = _Skip(rules)
    if any(ignore.has_exceptions for ignore, _above in rules):
        with opened(open_directory(place.parent, place.name)) as top:
            for item in walk(fd_path(top), cross=True):
                skip.consider(item.path)
    return skip


def _content(fd: int) -> str:
    digest = hashlib.sha256()
    while True:
        data = os.read(fd, _PIECE)
        if not data:
            return digest.hexdigest()
        digest.update(data)
