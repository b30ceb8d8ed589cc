# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an image was made from what is at its source now.

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

from ...core.errors import BadInput, NotFound
from ...image.origin import ABSENT, ARCHIVE, DIRECTORY, FILE, LAYOUT, REGISTRY, Source, decode

_PIECE = 2**20


def look(path: str, *, presume: bool = False) -> Source:
    """The root file system at `path`, its content not yet known; with `presume` also one that does not exist yet."""
    found = _look("src", path, presume)
    if found is None:
        return Source(ABSENT, path)
    return Source(DIRECTORY, path) if stat.S_ISDIR(found.st_mode) else Source(FILE, path, stamp=stamp(found))


def look_at_images(path: str, *, presume: bool = False) -> Source:
    """As `look`, for an archive of images or a layout of them."""
    found = _look("load_path", path, presume)
    if found is None:
        return Source(ABSENT, path)
    return Source(LAYOUT, path) if stat.S_ISDIR(found.st_mode) else Source(ARCHIVE, path, stamp=stamp(found))


def _look(option: str, path: str, presume: bool) -> os.stat_result | None:
    try:
        found = os.stat(path)
    except OSError as exc:
        if presume and exc.errno == errno.ENOENT:
            return None
        raise NotFound(f"{option}: {path} cannot be read: {exc.strerror}", path=path, errno=exc.errno) from exc
    if not stat.S_ISDIR(found.st_mode) and not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{option}: {path} is neither a tar file nor a directory", path=path)
    return found


def stamp(found: os.stat_result) -> str:
    """What changes when a file is written or replaced."""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def is_same(recorded: str, now: Source, skip: Collection[bytes] = ()) -> bool:
    """Whether the image was made from the content that is at the source now. Reads as little as will tell."""
    before = decode(recorded)
    if before is None or before.kind != now.kind:
        return False
    if now.kind in (REGISTRY, LAYOUT):  # what was asked of them is the digest
        return (before.path, before.digest, before.stamp) == (now.path, now.digest, now.stamp)
    if now.kind in (FILE, ARCHIVE):
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
