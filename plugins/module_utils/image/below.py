# SPDX-License-Identifier: GPL-3.0-or-later
"""The unpacked layers under one that is being unpacked: what a path is there, as a container would see it.

Paths have no links on the way; whoever asks has followed them. The layers are the store's own, and never change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple, Optional

from .attributes import OVERLAY_OPAQUE


class Found(NamedTuple):
    """A file of a layer: which layer's, and its stat."""

    layer: str
    stat: os.stat_result


class Below:
    """Layers, bottom to top."""

    def __init__(self, layers: Sequence[str] = ()) -> None:
        self._layers = tuple(reversed(layers))

    def __bool__(self) -> bool:
        return bool(self._layers)

    def find(self, path: bytes) -> Optional[Found]:
        """The topmost file of that name; none where a layer hides it or has a file in place of its directory."""
        for layer in self._layers:
            fd = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                seen, last = _look(fd, path)
            finally:
                os.close(fd)
            if seen is not None:
                return Found(layer, seen)
            if last:
                return None
        return None

    def names(self) -> set[bytes]:
        """What is in the root."""
        names = {name for layer in self._layers for name in os.listdir(os.fsencode(layer))}
        return {name for name in names if self.find(name)}


def _look(layer: int, path: bytes) -> tuple[Optional[os.stat_result], bool]:
    """The file, if the layer has it; and whether it hides what the layers below have under that name."""
    hides = False
    end = 0
    while end < len(path):
        end = path.find(b"/", end + 1) if b"/" in path[end + 1 :] else len(path)
        try:
            seen = os.stat(path[:end], dir_fd=layer, follow_symlinks=False)
        except FileNotFoundError:
            return None, hides
        if stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0:
            return None, True
        if end == len(path):
            return seen, True
        if not stat.S_ISDIR(seen.st_mode):
            return None, True
        hides = hides or _is_opaque(layer, path[:end])
    return None, hides


def _is_opaque(layer: int, path: bytes) -> bool:
    try:
        return os.getxattr(b"/proc/self/fd/%d/%s" % (layer, path), OVERLAY_OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
