# SPDX-License-Identifier: GPL-3.0-or-later
"""A little of the disk that is kept for those who stop and remove: where it is full, they are the way out.

To replace a file takes room for the new one before that of the old one comes free, and to remove an image is to replace
the index first. So a file stands in the state root that is worth nothing but its blocks and its inode; and a smaller
one below /run, which is memory, and where a stop replaces the state of one container.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Callable

from ..core.paths import Paths

SIZES = (256 << 10, 32 << 10)  # an index of some six hundred names, or any record; a state
_FULL = (errno.ENOSPC, errno.EDQUOT)


def keep(paths: Paths) -> None:
    """Make the reserves where there are none, if there is room for them."""
    for path, size in zip(paths.reserves, SIZES):
        with suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, size)
            except OSError:  # another time
                os.unlink(path)
            finally:
                os.close(fd)


def in_need(paths: Paths, work: Callable[[], None]) -> None:
    """Do what makes room, where there is none with the reserves: `work` is then done once more, from its beginning."""
    try:
        work()
    except OSError as exc:
        if exc.errno not in _FULL or not _give(paths):
            raise
        work()
    keep(paths)


def _give(paths: Paths) -> bool:
    """Whether there was something to give."""
    given = False
    for path in paths.reserves:
        with suppress(OSError):
            os.unlink(path)
            given = True
    return given
