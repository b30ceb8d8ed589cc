# SPDX-License-Identifier: GPL-3.0-or-later
"""Work inside a directory whose content is not to be trusted: by descriptor, without following a link outside."""

from __future__ import annotations

import os
import stat

from ..linux.files import remove_tree


def mode_of(parent: int, name: bytes) -> int:
    """st_mode of a name, its link not followed; 0 when there is nothing."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def is_same(one: int, name: bytes, other: int, other_name: bytes) -> bool:
    """Whether both names are one file already."""
    if not mode_of(other, other_name):
        return False
    first = os.stat(name, dir_fd=one, follow_symlinks=False)
    return os.path.samestat(first, os.stat(other_name, dir_fd=other, follow_symlinks=False))


def clear(parent: int, name: bytes) -> None:
    """Make room: whatever has the name goes, and a later member wins by being created anew."""
    mode = mode_of(parent, name)
    if stat.S_ISDIR(mode):
        remove_tree(os.fsdecode(proc_path(parent, name)))
    elif mode:
        os.unlink(name, dir_fd=parent)


def proc_path(parent: int, name: bytes) -> bytes:
    """A path for calls that take no descriptor of a directory."""
    return b"/proc/self/fd/%d/%s" % (parent, name)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """write(2) until all is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
