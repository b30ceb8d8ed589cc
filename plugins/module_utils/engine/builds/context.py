# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory that a build copies from, its Containerfile, and what of it is ignored."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ...core.errors import BadInput, NotFound
from ...image.containerfile.parse import MAX_SIZE, Containerfile, parse
from ...image.containerfile.patterns import Ignore, read_ignore
from ...image.replica import opened
from ...linux.files import open_in_root
from .sources import Tree
from .spec import BuildSpec

NAMES = ("Containerfile", "Dockerfile")
IGNORE_NAMES = (".containerignore", ".dockerignore")
_ELSEWHERE = (errno.ENOENT, errno.ENOTDIR)


class Context(NamedTuple):
    """An open context. `time_ns` is that of the Containerfile: what a build makes of nothing else has it."""

    tree: Tree
    file: Containerfile
    time_ns: int


@contextlib.contextmanager
def entered(wanted: BuildSpec) -> Iterator[Context]:
    """Open the context and read the Containerfile. `NotFound` when either is not there."""
    try:
        root = os.open(wanted.context, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise NotFound(f"path: {wanted.context} cannot be used: {exc.strerror}", path=wanted.context) from exc
    with opened(root):
        name, text, time_ns = _file(root, wanted)
        yield Context(Tree(root, _ignore(root, name)), parse(text, name), time_ns)


def _file(root: int, wanted: BuildSpec) -> tuple[str, str, int]:
    """The name, the text and the time of the Containerfile, which may also be elsewhere."""
    names = (wanted.file,) if wanted.file else NAMES
    for name in names:
        found = _absolute(name) if os.path.isabs(name) else _read(root, name)
        if found:
            return name, *found
    raise NotFound(f"there is no {' and no '.join(names)} in {wanted.context}", hint="name it with dockerfile")


def _absolute(path: str) -> Optional[tuple[str, int]]:
    try:
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    with opened(directory):
        return _read(directory, os.path.basename(path))


def _read(root: int, name: str) -> Optional[tuple[str, int]]:
    """A small text file below `root`; None when there is none."""
    try:
        fd = open_in_root(root, name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno in _ELSEWHERE:
            return None
        raise NotFound(f"{name} cannot be read: {exc.strerror}", path=name, errno=exc.errno) from exc
    with opened(fd):
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{name} is not a regular file", path=name)
        with open(fd, "rb", closefd=False) as handle:
            raw = handle.read(MAX_SIZE + 1)
    if len(raw) > MAX_SIZE:
        raise BadInput(f"{name} is larger than {MAX_SIZE >> 20} MiB", path=name)
    try:
        return raw.decode("utf-8"), found.st_mtime_ns
    except UnicodeDecodeError as exc:
        raise BadInput(f"{name} is not text in UTF-8: {exc.reason} at byte {exc.start}", path=name) from exc


def _ignore(root: int, name: str) -> Optional[Ignore]:
    """The rules of the file's own, or else of the context's."""
    for one in (f"{name}.dockerignore", *IGNORE_NAMES):
        found = None if os.path.isabs(one) else _read(root, one)
        if found:
            return read_ignore(found[0], one)
    return None
