# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image came from, as remembered beside its name in the index: enough to see that the source is the same.

A file is the same when its digest is. It is only read for that when its size, time or inode have changed, so a task
with nothing to do costs one stat(2). A directory, and what a container has changed, is compared by a walk over names,
sizes, times, owners and modes, as rsync compares: contents are not read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection
from typing import NamedTuple

from ...core.errors import BadImage, BadInput, NotFound
from ...image.document import parse, serialise

FILE, DIRECTORY, CONTAINER, ABSENT = "file", "directory", "container", "absent"
_PIECE = 2**20


class Source(NamedTuple):
    """`digest` is the content's; `stamp` what stat(2) said of a file when it was read."""

    kind: str
    path: str
    digest: str = ""
    stamp: str = ""

    def encode(self) -> str:
        return serialise(self._asdict()).decode()


def decode(text: str) -> Source | None:
    """What `encode` wrote; None for anything else, which makes the image's source unknown."""
    if not text:
        return None
    try:
        document = parse(text.encode(), "the image's source")
        return Source(**{name: document.text(name, "") for name in ("kind", "path", "digest", "stamp")})
    except BadImage:
        return None


def look(path: str, *, presume: bool = False) -> Source:
    """The source at `path`, its content not yet known; with `presume` also one that does not exist yet."""
    try:
        found = os.stat(path)
    except OSError as exc:
        if presume and exc.errno == errno.ENOENT:
            return Source(ABSENT, path)
        raise NotFound(f"src: {path} cannot be read: {exc.strerror}", path=path, errno=exc.errno) from exc
    if stat.S_ISDIR(found.st_mode):
        return Source(DIRECTORY, path)
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"src: {path} is neither a tar file nor a directory", path=path)
    return Source(FILE, path, stamp=stamp(found))


def stamp(found: os.stat_result) -> str:
    """What changes when a file is written or replaced."""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def is_same(recorded: str, now: Source, skip: Collection[bytes] = ()) -> bool:
    """Whether the image was made from the content that is at the source now. Reads as little as will tell."""
    before = decode(recorded)
    if before is None or before.kind != now.kind:
        return False
    if now.kind == FILE:
        return (before.path, before.stamp) == (now.path, now.stamp) or before.digest == file_digest(now.path)
    return before.digest == tree_digest(now.path, skip)


def file_digest(path: str) -> str:
    """The digest of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as handle:
        while True:
            data = handle.read(_PIECE)
            if not data:
                return "sha256:" + digest.hexdigest()
            digest.update(data)


def tree_digest(path: str, skip: Collection[bytes] = ()) -> str:
    """The digest of a directory's listing."""
    from ...image.tree import fingerprint

    return fingerprint(path, skip)
