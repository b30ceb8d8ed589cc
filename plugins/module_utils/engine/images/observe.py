# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of an image: the store, its source, the containers that stand on it. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from ...core.errors import BadImage, CorruptRecord
from ...core.paths import Paths
from ...core.specs import ImageConfig
from ...image import workspace
from ...image.store import ImageStore, StoredImage
from ..containers.record import ContainerRecord
from ..records import load, names_in
from . import commit, source
from .source import Source
from .spec import ImageSpec


@dataclass(frozen=True)
class Observation:
    """One image as it is.

    `damaged`: the name is there, but what it names cannot be read. `missing` are layers that are not unpacked.
    `source` is where the content is to come from, `unchanged` whether the image was made from just that.
    `base` is the configuration to start from. `users` are the containers that stand on the image.
    """

    image: Optional[StoredImage] = None
    damaged: bool = False
    missing: tuple[str, ...] = ()
    source: Optional[Source] = None
    unchanged: bool = False
    base: Optional[ImageConfig] = None
    container: Optional[ContainerRecord] = None
    users: tuple[str, ...] = ()
    exported: bool = True
    leftovers: bool = False


def observe(paths: Paths, wanted: ImageSpec, *, absent: bool = False, presume: bool = False) -> Observation:
    """The image that the task names. With `presume` its source need not exist: check mode cannot have made it."""
    store = ImageStore(paths)
    image, damaged = _find(store, str(wanted.reference))
    common = Observation(image=image, damaged=damaged, leftovers=bool(workspace.abandoned(paths)))
    if absent:
        return replace(common, users=_standing_on(paths, image))
    container = commit.container(paths, wanted.from_container) if wanted.from_container else None
    base = commit.config(container) if container else image.config if image and not wanted.src else None
    content = _source(paths, wanted, container, presume)
    recorded = image.sources.get(str(wanted.reference), "") if image else ""
    skip = commit.left_out(container) if container else ()
    return replace(
        common,
        missing=tuple(store.missing_layers(image)) if image else (),
        source=content,
        unchanged=content is not None and source.is_same(recorded, content, skip),
        base=base,
        container=container,
        exported=_exported(store, wanted, image),
    )


def used(paths: Paths) -> Optional[dict[str, set[str]]]:
    """Each container's name with the ids of the image and the layers it stands on.

    Half-made containers count. None when a record cannot be read: nobody knows then what may go.
    """
    found: dict[str, set[str]] = {}
    for container_id in names_in(paths.containers):
        try:
            record = load(ContainerRecord, paths.container_record(container_id))
        except CorruptRecord:
            return None
        if record is not None:
            found[record.name] = {record.image_id, *record.layers}
    return found


def _standing_on(paths: Paths, image: Optional[StoredImage]) -> tuple[str, ...]:
    everyone = used(paths) or {}
    return tuple(sorted(name for name, ids in everyone.items() if image is not None and image.id in ids))


def _find(store: ImageStore, reference: str) -> tuple[Optional[StoredImage], bool]:
    try:
        return store.find(reference), False
    except BadImage:
        return None, True


def _source(paths: Paths, wanted: ImageSpec, container: Optional[ContainerRecord], presume: bool) -> Optional[Source]:
    if container is not None:
        return Source(source.CONTAINER, paths.container(container.id, "upper"))
    return source.look(wanted.src, presume=presume) if wanted.src else None


def _exported(store: ImageStore, wanted: ImageSpec, image: Optional[StoredImage]) -> bool:
    """Whether the archive that is asked for holds the image already."""
    if not wanted.archive_path or image is None:
        return not wanted.archive_path
    from ...image import archive

    return archive.is_current(wanted.archive_path, store.layout, image, str(wanted.reference))
