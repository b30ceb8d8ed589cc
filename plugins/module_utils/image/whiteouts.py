# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layer hides of those below it (image-spec, layer.md), and how overlayfs wants to be told.

`.wh.x` hides `x`, `.wh..wh..opq` everything in its directory. They are collected and written at the end, when it is
known whether the layer has `x` itself: a file hides what is below by being there, a directory by being opaque. So the
order of the members does not matter.

A mark is left only where there is something to hide: overlayfs lists one that stands alone, as a file that nobody can
open. And it asks no layer's root whether that is opaque: there each name is hidden by itself.
"""

from __future__ import annotations

import os
import stat

from ..core.errors import BadImage
from .attributes import OVERLAY_OPAQUE
from .below import Below
from .ground import Ground
from .membername import show
from .rooted import mode_of, proc_path

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = (b".wh..wh.plnk", b".wh..wh.aufs", b".wh..wh.orph")  # aufs's own files in old images: no meaning here


def split(path: bytes) -> tuple[bytes, bytes]:
    """A member's directory and name when it is a mark, which is `BadImage` when it is malformed; nothing otherwise.

    aufs's own files are marks without a name: they are left out.
    """
    if WHITEOUT not in path:
        return b"", b""
    directory, _slash, name = path.rpartition(b"/")
    if any(part in _AUFS for part in path.split(b"/")):
        return b"", _AUFS[0]
    if any(part.startswith(WHITEOUT) for part in directory.split(b"/")):
        raise BadImage(f"the archive has a file inside of a whiteout: {show(path)}")
    if not name.startswith(WHITEOUT):
        return b"", b""
    hidden = name[len(WHITEOUT) :]
    if name != OPAQUE and (hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT)):
        raise BadImage(f"the archive has a whiteout of nothing: {show(path)}")
    return directory, name


class Whiteouts:
    """The marks of one layer, by paths without links on the way."""

    def __init__(self) -> None:
        self._hidden: set[bytes] = set()
        self._opaque: set[bytes] = set()

    def add(self, directory: bytes, name: bytes) -> None:
        """A mark, `.wh.x` or `.wh..wh..opq`, in a directory."""
        if name == OPAQUE:
            self._opaque.add(directory)
        else:
            self.hide(join(directory, name[len(WHITEOUT) :]))

    def hide(self, path: bytes) -> None:
        """A name, and all that is below it."""
        self._hidden.add(path)

    def hides(self, path: bytes) -> bool:
        """Whether only this layer says what is there."""
        return path in self._hidden or b"" in self._opaque or self._covers(path)

    def write(self, ground: Ground, below: Below) -> None:
        """A character device 0:0 for what is hidden, an attribute for a directory that hides all."""
        if b"" in self._opaque:
            self._hidden, self._opaque = below.names(), set()
        for path in sorted(self._hidden | self._opaque):
            if below.find(path) and not self._covers(path):
                _hide(ground, path, made=path not in self._hidden)

    def _covers(self, path: bytes) -> bool:
        end = path.rfind(b"/")
        while end > 0:
            if path[:end] in self._hidden or path[:end] in self._opaque:
                return True
            end = path.rfind(b"/", 0, end)
        return False


def join(directory: bytes, name: bytes) -> bytes:
    """A path below the root."""
    return directory + b"/" + name if directory else name


def _hide(ground: Ground, path: bytes, *, made: bool) -> None:
    """`made`: the directory stays, and only what is in it goes."""
    directory, _slash, name = path.rpartition(b"/")
    if ground.real(directory) != directory:
        return  # a later member is in its place, which is enough
    parent = ground.directory(directory)
    try:
        if made and not mode_of(parent, name):
            os.close(ground.directory(path))
        mode = mode_of(parent, name)
        if not mode:
            os.mknod(name, stat.S_IFCHR | 0o600, os.makedev(0, 0), dir_fd=parent)
        elif stat.S_ISDIR(mode):
            os.setxattr(proc_path(parent, name), OVERLAY_OPAQUE, b"y")
    finally:
        os.close(parent)
