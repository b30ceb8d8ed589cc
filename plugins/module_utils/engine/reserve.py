# SPDX-License-Identifier: GPL-3.0-or-later
"""A little of the disk that is kept for those who stop and remove: where it is full, they are the way out.

To replace a file takes room for the new one before that of the old one comes free, and to remove an image is to replace
the index first. So a file stands in the state root that is worth nothing but its blocks and its inode.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import Callable

from ..core.paths import Paths

SIZE = 256 << 10  # an index of some six hundred names, or any record
_FULL = (errno.ENOSPC, errno.EDQUOT)


def keep(paths: Paths) -> None:
    """Make the reserve where there is none, if the disk has room for it."""
    with suppress(OSError):
        fd = os.open(paths.reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)
        except OSError:  # another time
            os.unlink(paths.reserve)
        finally:
            os.close(fd)


def in_need(paths: Paths, work: Callable[[], None]) -> None:
    """Do what makes room, on a full disk with the reserve: `work` is then done once more, from its beginning."""
    try:
        work()
    except OSError as exc:
        if exc.errno not in _FULL or not _give(paths):
            raise
        work()
    keep(paths)


def _give(paths: Paths) -> bool:
    try:
        os.unlink(paths.reserve)
    except OSError:
        return False
    return True
