# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of an image's plan is done, and taken back.

Unpacking takes as long as it takes and is done without a lock, in a workspace of its own; the lock of the store is
held only while finished things are put in their places.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Optional, Union

from ...core.errors import BadImage, Busy, NotFound, StepFailed
from ...core.paths import Paths
from ...core.plan import Action, Step
from ...core.units import timestamp
from ...image import archive
from ...image.diff import Packed, pack
from ...image.downloads import AGE
from ...image.intake import NewLayer, take_in
from ...image.manifest import Descriptor, History
from ...image.media import MANIFEST
from ...image.origin import ARCHIVE, FILE, LAYOUT, Source, repository_digest
from ...image.parcel import Parcel, Root
from ...image.platform import host, rank
from ...image.rubbish import NOTHING
from ...image.shelf import Shelf
from ...image.store import ImageStore, StoredImage
from ...image.supply import Supplier, collect
from ...image.unarchive import Archive, opened
from ...image.workspace import Workspace
from ...image.writer import ImageWriter, image_document
from .. import reserve
from ..builds import cache
from . import commit, export, removal, source
from .loading import Shipment
from .observe import Connect, Observation, needed, used
from .spec import ExportSpec, ImageSpec, overlay

if TYPE_CHECKING:
    from ...image.registry.client import Registry

_ATTEMPTS = 3
_ARCHIVES = ("oci-layout", "manifest.json")


def actions(paths: Paths, connect: Optional[Connect] = None) -> Mapping[str, Action]:
    """The steps of all plans for images, by name."""
    does = ImageActions(paths, connect)
    return {
        "import": Action(does.import_, does.take_back),
        "pull": Action(does.pull, does.take_back),
        "load": Action(does.load, does.take_back),
        "load-all": Action(does.load_all, does.give_names_back),
        "commit": Action(does.commit, does.take_back),
        "configure": Action(does.configure, does.take_back),
        "unpack": Action(does.unpack),
        "export": Action(does.export),
        "push": Action(does.push),
        "tag": Action(does.tag, does.take_tag_back),
        "untag": Action(does.untag),
        "sweep": Action(does.sweep),
    }


class ImageActions:
    """The writer's steps for one task."""

    def __init__(self, paths: Paths, connect: Optional[Connect] = None) -> None:
        self.paths = paths
        self.connect = connect
        self.store = ImageStore(paths)
        self.writer = ImageWriter(self.store)

    def import_(self, step: Step) -> None:
        """A tar or a directory becomes an image of one layer."""
        wanted, seen = _told(step)
        origin = _known(seen.source)
        with Workspace(self.paths) as work:
            layer, origin = _read(origin, work)
            _refuse_archive(layer.directory, origin.path)
            self._add(wanted, seen, layer, origin, base=None)

    def pull(self, step: Step) -> None:
        """The image that a registry has, of the digest that was seen: a tag may have moved on meanwhile."""
        wanted, seen = _told(step)
        origin = _known(seen.source)
        registry = self._registry()
        with Workspace(self.paths) as work:
            self._deliver(wanted, registry, registry.root(origin.digest), origin, work)

    def load(self, step: Step) -> None:
        """An image out of an archive or a layout, which may have several."""
        wanted, seen = _told(step)
        with Workspace(self.paths) as work:
            supplier, origin = _opened(_known(seen.source), work)
            self._unload(wanted, supplier, origin, work)

    def load_all(self, step: Step) -> None:
        """Those images of an archive or a layout that are lacking, each under its own name."""
        shipment: Shipment = step.detail["shipment"]
        with Workspace(self.paths) as work:
            supplier, origin = _opened(shipment.source, work)
            for name in shipment.lacking:
                self._unload(ImageSpec(name, load_path=origin.path), supplier, origin, work)

    def _unload(self, wanted: ImageSpec, supplier: Union[Shelf, Archive], origin: Source, work: Workspace) -> None:
        """One image of several. That of a layout has a digest of its own there."""
        root = supplier.root(wanted.reference)
        if origin.kind == LAYOUT:
            origin = origin._replace(digest=root.descriptor.digest, stamp=str(wanted.platform or host()))
        self._deliver(wanted, supplier, root, origin, work)

    def give_names_back(self, step: Step) -> None:
        """Let each name mean what it meant."""
        shipment: Shipment = step.detail["shipment"]
        with self.store.locked():
            for name in shipment.lacking:
                self._name_again(str(name), shipment.present[name].image)
        self.sweep(step)

    def commit(self, step: Step) -> None:
        """A container's changes become a layer on those of its image."""
        wanted, seen = _told(step)
        origin, record = _known(seen.source), seen.container
        if record is None:
            raise BadImage(f"the container {wanted.from_container} has left meanwhile")
        base = self.store.find(record.image_id)
        if base is None:
            raise BadImage(
                f"the image of the container {record.name} is gone, so its layers cannot be part of another",
                hint="import that image again",
            )
        skip = commit.left_out(record)
        with Workspace(self.paths) as work:
            digest = source.tree_digest(origin.path, skip)
            changes = Packed(pack(origin.path, skip, overlay=True))
            layer = take_in(changes, work, below=self.store.layer_dirs(base))
            self._add(wanted, seen, layer, Source(origin.kind, origin.path, digest), base=base)

    def configure(self, step: Step) -> None:
        """Another configuration on the same layers."""
        wanted, seen = _told(step)
        image = seen.image
        if image is None:
            raise BadImage(f"the image {wanted.reference} has left meanwhile", hint="run the task again")
        author, history = image.author, image.history
        if wanted.is_made:
            last = history[-1] if history else History()
            author, history = wanted.author, (*history[:-1], last._replace(comment=wanted.message))
        config = overlay(seen.base, wanted.config)
        document = image_document(config, image.diff_ids, image.created, history, image, author=author)
        with Workspace(self.paths), self.store.locked():
            descriptor = self.writer.add(document, image.blobs)
            self.writer.name(descriptor, str(wanted.reference), image.sources.get(str(wanted.reference), ""))

    def unpack(self, step: Step) -> None:
        """Layers that another tool brought, or that were deleted, from their blobs."""
        _wanted, seen = _told(step)
        if seen.image is not None:
            with Workspace(self.paths) as work:
                self.writer.restore_layers(seen.image, work)

    def export(self, step: Step) -> None:
        """The image as an archive."""
        wanted, _seen = _told(step)
        name = str(wanted.reference)
        cargo = archive.cargo(self.store.layout, {name: self.store.resolve(name)})
        export.Archive(self.store, cargo).write(ExportSpec(wanted.archive_path, (name,)))

    def push(self, step: Step) -> None:
        """The image into the registry of its name."""
        wanted, _seen = _told(step)
        self._registry().push(self.store, self.store.resolve(str(wanted.reference)))

    def _registry(self) -> Registry:
        if self.connect is None:
            raise BadImage("there is no registry to speak to")
        return self.connect()

    def tag(self, step: Step) -> None:
        """Another name for an image. It remembers what the image was made of; a registry is for its own name alone."""
        image: StoredImage = step.detail["image"]
        with self.store.locked():
            origins = [text for text in image.sources.values() if text and not repository_digest(text)]
            self._name(image, step.target, origins[0] if origins else "")

    def take_tag_back(self, step: Step) -> None:
        """Let the name mean what it meant, or nothing."""
        with self.store.locked():
            self._name_again(step.target, step.detail["before"])

    def untag(self, step: Step) -> None:
        """Take the name away."""
        with self.store.locked():
            if step.detail["unused"] is not None:
                removal.refuse_used(self.paths, step.detail["unused"])
            reserve.in_need(self.paths, lambda: self.writer.untag(step.target))

    def forget_build(self, step: Step) -> None:
        """What its steps have made is not found again."""
        with self.store.locked():
            cache.forget(self.paths, step.target)

    def sweep(self, step: Step) -> None:
        """Remove what neither an image nor a container needs; nothing, when a container's needs cannot be read."""
        with self.store.locked():
            everyone = used(self.paths)
            if everyone is not None:
                spared, age = step.detail.get("spared", NOTHING), step.detail.get("age", AGE)
                cache.sweep(self.paths, age)
                writer = ImageWriter(self.store, needed(self.paths, everyone, age=age))
                reserve.in_need(self.paths, lambda: writer.sweep(spared, age))

    def take_back(self, step: Step) -> None:
        """Let the name mean what it meant, and sweep what came with the failed step."""
        wanted, seen = _told(step)
        with self.store.locked():
            self._name_again(str(wanted.reference), seen.image)
        self.sweep(step)

    def _name_again(self, name: str, before: Optional[StoredImage]) -> None:
        """Only if it is still there, which it is until the last step."""
        if before is None:
            self.writer.untag(name)
            return
        with suppress(OSError):
            self._name(before, name, before.sources.get(name, ""))

    def _name(self, image: StoredImage, name: str, origin: str) -> None:
        length = os.stat(self.store.layout.blob(image.manifest_digest)).st_size
        self.writer.name(Descriptor(MANIFEST, image.manifest_digest, length), name, origin)

    def _deliver(self, wanted: ImageSpec, supplier: Supplier, root: Root, origin: Source, work: Workspace) -> None:
        """File an image that is whole elsewhere: as it came, or with the configuration that the task asks for.

        Again from the beginning when another task has swept a layer meanwhile that this one counted on.
        """
        for _attempt in range(_ATTEMPTS):
            parcel = collect(supplier, root, wanted.platform or host(), self.store, work)
            _refuse_platform(wanted, parcel)
            with self.store.locked():
                if self.writer.has_rest_of(parcel):
                    self.writer.name(self._accept(wanted, parcel), str(wanted.reference), origin.encode())
                    return
        raise Busy(f"other tasks remove the layers of {wanted.reference} all the time", hint="run the task again")

    def _accept(self, wanted: ImageSpec, parcel: Parcel) -> Descriptor:
        came = parcel.document
        config = overlay(came.config, wanted.config)
        if config == came.config:
            return self.writer.accept(parcel)
        self.writer.place(parcel)
        return self.writer.add(came._replace(config=config), parcel.manifest.as_oci().layers)

    def _add(
        self, wanted: ImageSpec, seen: Observation, layer: NewLayer, origin: Source, base: Optional[StoredImage]
    ) -> None:
        """File a new layer, on those of `base`, as the image that the task asks for."""
        created = timestamp(layer.newest)
        history = History(created, "commit" if base else "import", wanted.author, wanted.message)
        below_ids, below_blobs, below_history = (base.diff_ids, base.blobs, base.history) if base else ((), (), ())
        document = image_document(
            overlay(seen.base, wanted.config),
            (*below_ids, layer.diff_id),
            created,
            (*below_history, history),
            base,
            author=wanted.author,
            target=wanted.platform,
        )
        with self.store.locked():
            descriptor = self.writer.add(document, (*below_blobs, layer.descriptor), [layer])
            self.writer.name(descriptor, str(wanted.reference), origin.encode())


def _opened(origin: Source, work: Workspace) -> tuple[Union[Shelf, Archive], Source]:
    """Whoever has the images, and the source as it was when it was read."""
    if origin.kind == LAYOUT:
        return Shelf(origin.path), origin
    archived = opened(origin.path, work)
    return archived, origin._replace(kind=ARCHIVE, digest=archived.digest, stamp=source.stamp(archived.stat))


def _read(origin: Source, work: Workspace) -> tuple[NewLayer, Source]:
    """The layer that the source holds. An error names the source: the reader below does not know it."""
    try:
        return _from_file(origin, work) if origin.kind == FILE else _from_tree(origin, work)
    except BadImage as exc:
        if origin.path not in exc.message:
            exc.message = f"cannot make an image of {origin.path}: {exc.message}"
            exc.path = exc.path or origin.path
        raise
    except OSError as exc:
        raise StepFailed.from_os(f"make an image of {origin.path}", exc, step="import") from exc


def _from_file(origin: Source, work: Workspace) -> tuple[NewLayer, Source]:
    with open(origin.path, "rb", buffering=0) as handle:
        before = source.stamp(os.fstat(handle.fileno()))
        layer = take_in(handle, work)
        if source.stamp(os.fstat(handle.fileno())) != before:
            raise BadImage(f"{origin.path} was changed while it was read", hint="run the task again", path=origin.path)
    return layer, Source(origin.kind, origin.path, layer.source, before)


def _from_tree(origin: Source, work: Workspace) -> tuple[NewLayer, Source]:
    digest = source.tree_digest(origin.path)
    layer = take_in(Packed(pack(origin.path)), work)
    return layer, Source(origin.kind, origin.path, digest)


def _refuse_platform(wanted: ImageSpec, parcel: Parcel) -> None:
    """A single image says only in its configuration what it is for."""
    found = parcel.document.platform
    if wanted.platform and rank(found, wanted.platform) is None:
        raise NotFound(
            f"there is no {wanted.reference} for {wanted.platform}, only for {found}", hint="leave platform out"
        )


def _refuse_archive(directory: str, path: str) -> None:
    """An archive of images is a tar, too, but not one of a root file system."""
    names = set(os.listdir(directory))
    if names & set(_ARCHIVES) and not names & {"bin", "sbin", "usr"}:
        raise BadImage(
            f"{path} is an archive of images, not the tar of a root file system",
            hint="give it as load_path; src takes what docker export makes, not docker save",
            path=path,
        )


def _told(step: Step) -> tuple[ImageSpec, Observation]:
    return step.detail["wanted"], step.detail["seen"]


def _known(origin: Optional[Source]) -> Source:
    if origin is None:
        raise BadImage("the image has no source")
    return origin
