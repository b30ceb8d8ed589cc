# SPDX-License-Identifier: GPL-3.0-or-later
"""A read-only view of the interpreter for one process and its children."""

from __future__ import annotations

import os

from . import libc
from .mount import set_propagation
from .mount_options import MS_BIND, MS_RDONLY, MS_REMOUNT, MS_SLAVE


def seal(executable: str) -> None:
    """Move the caller into a mount namespace of its own in which the file `executable` is read-only.

    A container may execute `/proc/self/exe` of the process that becomes it, which is then this interpreter, and open
    it for writing from inside: EROFS is the answer, for as long as the process lives (CVE-2019-5736). Mounts and
    unmounts of the host still arrive (`slave`), so nothing on the host is kept busy.
    """
    libc.unshare(libc.CLONE_NEWNS)
    set_propagation(MS_SLAVE)
    path = os.path.realpath(executable)
    libc.mount(path, path, None, MS_BIND)
    libc.mount(None, path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
