# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images there are, and where their unpacked layers lie. This file only reads.

It is what a container needs of images, on a path that must cost next to nothing: no tar, no compression here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ..core.errors import BadImage, BadInput, NotFound
from ..core.paths import Paths
from ..core.specs.image import ImageConfig
from ..linux.files import locked
from . import reference as references
from .layout import REF_NAME, Layout
from .manifest import Descriptor, History, Manifest, chain_ids
from .origin import repository_digest
from .platform import Platform
from .reference import Reference

SOURCE = "mini.containers.source"


@dataclass(frozen=True)
class StoredImage:
    """An image of the store. `layers` are chain ids, bottom to top; `size` is that of the layers' blobs."""

    id: str
    references: tuple[str, ...]
    config: ImageConfig
    layers: tuple[str, ...]
    created: str
    size: int
    architecture: str
    os: str
    history: tuple[History, ...] = ()
    diff_ids: tuple[str, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    manifest_digest: str = ""
    author: str = ""
    variant: str = ""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def comment(self) -> str:
        """What was said of its last layer."""
        return self.history[-1].comment if self.history else ""

    @property
    def platform(self) -> Platform:
        return Platform.of(self.os, self.architecture, self.variant)


class ImageStore:
    """The images below one state root."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.layout = Layout(paths.image_layout)

    def locked(self) -> AbstractContextManager[int]:
        """Hold this while a found image must not go away, until a container's record says that it is used."""
        return locked(self.paths.lock("image", "store"), "the image store")

    def find(self, reference: str) -> StoredImage | None:
        """The image called `name[:tag][@digest]`, or whose id is, or begins with, the 12 or more digits given."""
        entries = self.layout.entries()
        known = references.full_id(reference)
        if known is None:
            for entry in _called(entries, references.parse(reference)):
                return self._image(entry.digest, entries)
            known = references.id_prefix(reference)
        return None if known is None else self._by_id(known)

    def names(self, wanted: Reference) -> tuple[str, ...]:
        """The names that `wanted` means: itself, or of a digest those that the image has in that repository."""
        return tuple(entry.annotations[REF_NAME] for entry in _called(self.layout.entries(), wanted))

    def resolve(self, reference: str) -> StoredImage:
        """As `find`, for a caller that cannot go on without."""
        image = self.find(reference)
        if image is None:
            raise NotFound(
                f"there is no image {reference!r}",
                hint=f"fetch it with mini_image: name: {reference}, or make it with src",
            )
        return image

    def still(self, image: StoredImage) -> StoredImage:
        """The image that was found, if it is still there, or has come again with another manifest."""
        if any(entry.digest == image.manifest_digest for entry in self.layout.entries()):
            return image
        return self.resolve(image.id)

    def images(self) -> list[StoredImage]:
        """All images, by name; one that cannot be read does not hide the others."""
        entries = self.layout.entries()
        found: list[StoredImage] = []
        for digest in dict.fromkeys(entry.digest for entry in entries):
            try:
                found.append(self._image(digest, entries))
            except BadImage:
                continue
        return sorted(found, key=lambda image: (image.references, image.id))

    def layer_dirs(self, image: StoredImage) -> list[str]:
        """The directories of the unpacked layers, bottom to top."""
        return [self.paths.layer(chain_id) for chain_id in image.layers]

    def missing_layers(self, image: StoredImage) -> list[str]:
        """Chain ids of layers that are not unpacked: the blobs came from another tool, or someone deleted them."""
        return [chain_id for chain_id in image.layers if not os.path.isdir(self.paths.layer(chain_id))]

    def _by_id(self, known: str) -> StoredImage | None:
        matches = [image for image in self.images() if image.id.startswith(known)]
        if len({image.id for image in matches}) > 1:
            raise BadInput(f"{known!r} is the beginning of more than one image's id", hint="write more of its digits")
        return matches[0] if matches else None

    def _image(self, digest: str, entries: list[Descriptor]) -> StoredImage:
        mine = [entry for entry in entries if entry.digest == digest]
        manifest = self.layout.manifest(mine[0])
        notes = [entry.annotations for entry in mine if REF_NAME in entry.annotations]
        named = {note[REF_NAME]: note.get(SOURCE, "") for note in notes}
        return self.describe(manifest, digest, named)

    def describe(self, manifest: Manifest, digest: str, named: Mapping[str, str]) -> StoredImage:
        """The image behind a manifest; `named` are its names, each with the source it was made from."""
        document = self.layout.image(manifest)
        return StoredImage(
            id=manifest.config.digest,
            references=tuple(sorted(named)),
            config=document.config,
            layers=chain_ids(document.diff_ids),
            created=document.created,
            size=sum(layer.size for layer in manifest.layers),
            architecture=document.architecture,
            os=document.os,
            history=document.history,
            diff_ids=document.diff_ids,
            blobs=manifest.layers,
            manifest_digest=digest,
            author=document.author,
            variant=document.variant,
            sources=dict(named),
        )


def _called(entries: list[Descriptor], wanted: Reference) -> list[Descriptor]:
    """The entries of a name. A digest without a tag is looked for among all of its repository."""
    named = [entry for entry in entries if REF_NAME in entry.annotations and _has_digest(entry, wanted.digest)]
    exact = [entry for entry in named if entry.annotations[REF_NAME] == str(wanted)]
    if exact or wanted.tag:
        return exact
    return [entry for entry in named if references.repository(entry.annotations[REF_NAME]) == wanted.name]


def _has_digest(entry: Descriptor, digest: str) -> bool:
    """Its own, or that of the index out of which it was pulled: either is the image that the digest means."""
    return digest in ("", entry.digest) or digest == repository_digest(entry.annotations.get(SOURCE, ""))
