# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer hides of those below it (image-spec, layer.md), and how overlayfs wants to be told.

`.wh.x` hides `x`, `.wh..wh..opq` everything in its directory. They are collected and written at the end, when it is
known whether the layer has `x` itself: a file hides what is below by being there, a directory by being opaque. So the
order of the members does not matter.
"""

from __future__ import annotations

import os
import stat

from ..core.errors import BadImage
from ..linux.files import open_in_root
from .attributes import OVERLAY_OPAQUE
from .membername import show
from .rooted import make_parent, mode_of

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = (b".wh..wh.plnk", b".wh..wh.aufs", b".wh..wh.orph")  # aufs's own files in old images: no meaning here


class Whiteouts:
    """The marks of one layer."""

    def __init__(self) -> None:
        self._hidden: set[bytes] = set()
        self._opaque: set[bytes] = set()

    def take(self, path: bytes) -> bool:
        """Whether `path` is a mark and not a file. A malformed one is `BadImage`."""
        if WHITEOUT not in path:
            return False
        parts = path.split(b"/")
        if any(part in _AUFS for part in parts):
            return True
        if any(part.startswith(WHITEOUT) for part in parts[:-1]):
            raise BadImage(f"the archive has a file inside of a whiteout: {show(path)}")
        name = parts.pop()
        if not name.startswith(WHITEOUT):
            return False
        hidden = name[len(WHITEOUT) :]
        if name == OPAQUE:
            self._opaque.add(b"/".join(parts))
        elif hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT):
            raise BadImage(f"the archive has a whiteout of nothing: {show(path)}")
        else:
            self._hidden.add(b"/".join((*parts, hidden)))
        return True

    def write(self, root: int) -> None:
        """A character device 0:0 for what is hidden, an attribute for a directory that hides all."""
        for path in sorted(self._hidden):
            directory, _slash, name = path.rpartition(b"/")
            parent = make_parent(root, directory)
            try:
                mode = mode_of(parent, name)
                if not mode:
                    os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=parent)
                elif stat.S_ISDIR(mode):
                    self._opaque.add(path)
            finally:
                os.close(parent)
        for path in sorted(self._opaque):
            os.close(make_parent(root, path))
            fd = open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.setxattr(fd, OVERLAY_OPAQUE, b"y")
            finally:
                os.close(fd)
