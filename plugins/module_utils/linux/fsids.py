# SPDX-License-Identifier: GPL-3.0-or-later
"""Making files for users that root of the host is not among."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import libc

_NO_SETUID_FIXUP = 4  # <linux/securebits.h>


@contextlib.contextmanager
def files_made_by(uid: int, gid: int) -> Iterator[None]:
    """Files that are made meanwhile belong to these ids at first; all capabilities are kept (capabilities(7)).

    An idmapped mount has no place for ids outside its range: what uid 0 makes there is EOVERFLOW, before any chown.
    """
    before = libc.prctl(libc.PR_GET_SECUREBITS)
    libc.prctl(libc.PR_SET_SECUREBITS, before | _NO_SETUID_FIXUP)
    libc.act_as(uid, gid)
    try:
        yield
    finally:
        libc.act_as(os.geteuid(), os.getegid())
        libc.prctl(libc.PR_SET_SECUREBITS, before)
