# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces kept at a path (namespaces(7), "The /proc/pid/ns/ directory").

A bind mount over a file keeps a namespace in being without any process in it, and names it for good: the pid through
which it was found may belong to another process a moment later.
"""

from __future__ import annotations

import contextlib
import os

from . import libc
from .mount_options import MNT_DETACH, MS_BIND

_NSFS = "/proc/self/ns/mnt"


def pinned(path: str) -> bool:
    """Whether a namespace is kept at `path`."""
    try:
        return os.stat(path).st_dev == os.stat(_NSFS).st_dev
    except FileNotFoundError:
        return False


def pin(source: str, path: str) -> None:
    """Keep the namespace behind `source`, a file of /proc/PID/ns, at `path`; whatever was kept there goes."""
    unpin(path)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    libc.mount(source, path, None, MS_BIND)


def unpin(path: str) -> None:
    """Let go of the namespace at `path`."""
    with contextlib.suppress(FileNotFoundError):
        while pinned(path):
            libc.umount2(path, MNT_DETACH)
        os.unlink(path)


def same(first: str, second: str) -> bool:
    """Whether two files name one namespace; False when one of them is gone."""
    try:
        return os.path.samestat(os.stat(first), os.stat(second))
    except OSError:
        return False
