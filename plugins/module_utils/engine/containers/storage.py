# SPDX-License-Identifier: GPL-3.0-or-later
"""The volumes of a container: named, made, filled, and those that nobody else has removed with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...core.names import new_id
from ...core.paths import Paths
from ...core.specs.volume import Mount, VolumeSpec
from ...image.replica import opened
from ...image.store import ImageStore
from ...linux.files import open_in_root
from ..volumes import use
from ..volumes.record import ANONYMOUS
from .record import ContainerRecord
from .root import root_of


def named(mounts: Iterable[Mount], store: ImageStore) -> tuple[Mount, ...]:
    """The mounts, each anonymous volume with a name and the mark that nobody gave it, and of each image which it is."""
    return tuple(_named(mount, store) for mount in mounts)


def _named(mount: Mount, store: ImageStore) -> Mount:
    if mount.kind == "image":
        image = store.resolve(mount.source)
        return replace(mount, image_id=image.id, layers=tuple(image.layers))
    if mount.kind == "volume" and not mount.source:
        return replace(mount, source=new_id(), labels={**ANONYMOUS, **mount.labels})
    return mount


def make(paths: Paths, record: ContainerRecord, mount: Mount) -> None:
    """The volume behind a mount, with the image's content if it has none yet."""
    use.make(paths, VolumeSpec(mount.source, labels=mount.labels))
    if mount.no_copy or mount.subpath or not use.is_empty(paths, mount.source):
        return
    if surely_absent([paths.layer(chain_id) for chain_id in record.layers], mount.target):
        return
    with root_of(paths, record, volumes=False, read_only=True) as root:
        try:
            source = open_in_root(root.fd, mount.target, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return  # the image has no directory there
        with opened(source):
            use.fill(paths, mount.source, source)


def surely_absent(layers: Sequence[str], target: str) -> bool:
    """Whether no layer has anything at the target, as for most volumes: there is no need to mount them then.

    A link on the way leaves it open: where it leads only the kernel can say, with all layers together.
    """
    path = ""
    for part in target.strip("/").split("/"):
        path += "/" + part
        found = [os.lstat(layer + path).st_mode for layer in layers if os.path.lexists(layer + path)]
        if not found or any(stat.S_ISLNK(mode) for mode in found):
            return not found
    return False


def drop(paths: Paths, record: ContainerRecord) -> None:
    """Remove the container's anonymous volumes, unless others have them too."""
    names = [mount.source for mount in record.all_mounts() if mount.kind == "volume" and mount.source]
    use.drop_anonymous(paths, names, but=record.id)
