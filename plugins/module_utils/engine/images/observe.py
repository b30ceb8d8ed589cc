# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of an image: the store, its source, the containers that stand on it. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Optional

from ...core.errors import BadImage, BadInput, NotFound
from ...core.paths import Paths
from ...core.specs.image import ImageConfig
from ...image import platform, workspace
from ...image.downloads import AGE
from ...image.origin import ABSENT, CONTAINER, LAYOUT, REGISTRY, Source, repository_digest
from ...image.store import ImageStore, StoredImage
from ..builds import cache
from ..containers.record import ContainerRecord
from ..records import names_in, peek
from . import commit, source
from .spec import ALWAYS, MISSING, ImageSpec

if TYPE_CHECKING:
    from ...image.registry.client import Registry

Connect = Callable[[], "Registry"]
"""A client for the registry that the image's name means; only called when it is to be asked."""


@dataclass(frozen=True)
class Observation:
    """One image as it is.

    `damaged`: the name is there, but what it names cannot be read. `missing` are layers that are not unpacked.
    `source` is where the content is to come from, `unchanged` whether the image was made from just that.
    `base` is the configuration to start from.
    """

    image: Optional[StoredImage] = None
    damaged: bool = False
    missing: tuple[str, ...] = ()
    source: Optional[Source] = None
    unchanged: bool = False
    base: Optional[ImageConfig] = None
    container: Optional[ContainerRecord] = None
    exported: bool = True
    pushed: bool = True
    leftovers: bool = False


def observe(
    paths: Paths,
    wanted: ImageSpec,
    *,
    connect: Optional[Connect] = None,
    presume: bool = False,
) -> Observation:
    """The image that the task names. With `presume` its source need not exist: check mode cannot have made it."""
    store = ImageStore(paths)
    image, damaged = _find(store, str(wanted.reference))
    common = Observation(image=image, damaged=damaged, leftovers=workspace.leftovers(paths))
    container = commit.container(paths, wanted.from_container) if wanted.from_container else None
    base = commit.config(container) if container else image.config if image and not wanted.src else None
    content = _source(paths, wanted, container, presume) or _remote(wanted, image, connect)
    if content is None and not _serves(image, wanted):
        raise NotFound(
            f"the image {wanted.reference} that is here is another than the digest or the platform asks for",
            hint="let it be pulled",
        )
    recorded = image.sources.get(str(wanted.reference), "") if image else ""
    skip = commit.left_out(container) if container else ()
    return replace(
        common,
        missing=tuple(store.missing_layers(image)) if image else (),
        source=content,
        unchanged=content is not None and _serves(image, wanted) and source.is_same(recorded, content, skip),
        base=base,
        container=container,
        exported=_exported(store, wanted, image),
        pushed=not wanted.push or _pushed(image, connect),
    )


def used(paths: Paths) -> Optional[dict[str, set[str]]]:
    """Each container's name with the ids of the images and the layers it stands on.

    Half-made containers count. None when a record cannot be read: nobody knows then what may go.
    """
    found: dict[str, set[str]] = {}
    for container_id in names_in(paths.containers):
        record = peek(paths, container_id)
        if record is None:
            continue
        try:
            found.setdefault(record["name"], set()).update(_ids(record), *map(_ids, record.get("mounts", ())))
        except (KeyError, TypeError, AttributeError):
            return None
    return found


def _ids(record: Mapping[str, Any]) -> set[str]:
    """Of a container, or of a mount, which may be of an image."""
    return {record.get("image_id", ""), *record.get("layers", ())} - {""}


def needed(
    paths: Paths, everyone: Mapping[str, Collection[str]], without: Collection[str] = (), age: float = AGE
) -> frozenset[str]:
    """The ids of what containers need, as `used` tells of them, and what builds do, but for those of some names.

    What a build that broke off has made is needed until it is of an age, in seconds.
    """
    builds = cache.needed(paths, without, age)
    return frozenset().union(*everyone.values(), *builds.values())


def standing_on(everyone: Mapping[str, Collection[str]], image: Optional[StoredImage]) -> tuple[str, ...]:
    """The containers, out of those that `used` tells of, that need the image."""
    return tuple(sorted(name for name, ids in everyone.items() if image is not None and image.id in ids))


def _find(store: ImageStore, reference: str) -> tuple[Optional[StoredImage], bool]:
    try:
        return store.find(reference), False
    except BadImage:
        return None, True


def _source(paths: Paths, wanted: ImageSpec, container: Optional[ContainerRecord], presume: bool) -> Optional[Source]:
    if container is not None:
        return Source(CONTAINER, paths.container(container.id, "upper"))
    if wanted.src:
        return source.look(wanted.src, presume=presume)
    if not wanted.load_path:
        return None
    found = source.look_at_images(wanted.load_path, presume=presume)
    if wanted.source and found.kind not in (wanted.source, ABSENT):
        raise BadInput(f"source: {wanted.load_path} is of the kind {found.kind}, not {wanted.source}", path=found.path)
    return _in_layout(found, wanted) if found.kind == LAYOUT else found


def _in_layout(found: Source, wanted: ImageSpec) -> Source:
    from ...image.shelf import Shelf

    digest = Shelf(found.path).entry(wanted.reference).digest
    return found._replace(digest=digest, stamp=str(wanted.platform or platform.host()))


def _remote(wanted: ImageSpec, image: Optional[StoredImage], connect: Optional[Connect]) -> Optional[Source]:
    """What the registry has under the name, if it is to be asked. Nothing is fetched for that."""
    missing = image is None or not _serves(image, wanted)
    if connect is None or wanted.pull not in ((ALWAYS, MISSING) if missing else (ALWAYS,)):
        return None
    registry = connect()
    return Source(REGISTRY, str(registry.where), registry.digest(), str(wanted.platform or platform.host()))


def _serves(image: Optional[StoredImage], wanted: ImageSpec) -> bool:
    """Whether an image is of the digest and for the platform that is asked for; without such a wish, any is."""
    if image is None:
        return True
    name, asked = wanted.reference, wanted.platform
    digests = ("", image.manifest_digest, repository_digest(image.sources.get(str(name), "")))
    return name.digest in digests and (asked is None or platform.rank(image.platform, asked) is not None)


def _pushed(image: Optional[StoredImage], connect: Optional[Connect]) -> bool:
    return image is not None and connect is not None and connect().has(image.manifest_digest)


def _exported(store: ImageStore, wanted: ImageSpec, image: Optional[StoredImage]) -> bool:
    """Whether the archive that is asked for holds the image already."""
    if not wanted.archive_path or image is None:
        return not wanted.archive_path
    from ...image import archive, outfile

    cargo = archive.cargo(store.layout, {str(wanted.reference): image})
    return outfile.begins(wanted.archive_path, cargo.beginning, cargo.size)
