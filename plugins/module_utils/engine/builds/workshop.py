# SPDX-License-Identifier: GPL-3.0-or-later
"""The root of a stage while it is worked on: its layers, and on them a directory that takes what is written.

It is mounted where nobody else sees it, and is gone with us (engine/containers/root.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence

from ...core.paths import Paths
from ...image.diff import Packed, pack
from ...image.intake import NewLayer, take_in
from ...image.tree import walk
from ...image.workspace import Workspace
from ...linux.overlay import overlay_data
from ..containers.root import mounted, root_of_layers


@contextlib.contextmanager
def view(paths: Paths, chain: Sequence[str], work: Workspace) -> Iterator[int]:
    """The root of the layers, by chain id and bottom first, to be read: an O_PATH descriptor."""
    place = directory(work)
    with root_of_layers(place, [paths.layer(one) for one in chain] or [place]) as root:
        yield root


@contextlib.contextmanager
def bench(paths: Paths, chain: Sequence[str], work: Workspace) -> Iterator[tuple[int, str]]:
    """The root, to be written to, and the directory in which the changes are."""
    upper = directory(work)
    lower = [paths.layer(one) for one in chain] or [directory(work)]
    with mounted(directory(work), [overlay_data(lower, upper, directory(work))]) as root:
        yield root, upper


def directory(work: Workspace) -> str:
    """An empty directory that all may enter, whatever the umask."""
    path = work.new("directory")
    os.mkdir(path, 0o755)
    os.chmod(path, 0o755)
    return path


def layer_of(
    paths: Paths, chain: Sequence[str], upper: str, work: Workspace, *, skip: Collection[bytes] = (), latest: int
) -> NewLayer:
    """The changes as a layer on those of the chain; no time in it is later than `latest`, in ns, unless that is 0."""
    if latest:
        for item in walk(upper):
            if item.stat.st_mtime_ns > latest:
                os.utime(item.name, ns=(latest, latest), dir_fd=item.parent, follow_symlinks=False)
    below = [paths.layer(one) for one in chain]
    return take_in(Packed(pack(upper, skip, overlay=True)), work, below=below)
