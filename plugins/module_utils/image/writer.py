# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the store: add an image, name it, take the name away, sweep what nothing needs any more.

Blobs and layers are renamed into place first and the index is replaced last, all under the store's lock, so a reader
sees an image when it is whole. Removal is the other way round: first the index, then what it alone kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from ..core.specs.image import ImageConfig
from ..linux.files import make_private_dir, remove_tree, sync_dir
from . import rubbish, workspace
from .document import parse
from .downloads import AGE, Downloads
from .intake import NewLayer, restore
from .layout import REF_NAME
from .manifest import Descriptor, History, ImageDocument, Manifest, chain_ids, sha256
from .media import CONFIG, MANIFEST
from .parcel import Parcel
from .platform import Platform, host
from .store import SOURCE, ImageStore, StoredImage
from .workspace import Workspace


class ImageWriter:
    """The one writer of an `ImageStore`. `used` are the ids of what containers and builds stand on."""

    def __init__(self, store: ImageStore, used: Collection[str] = ()) -> None:
        self.store = store
        self.layout = store.layout
        self.used = frozenset(used)

    def add(self, document: ImageDocument, blobs: tuple[Descriptor, ...], new: Iterable[NewLayer] = ()) -> Descriptor:
        """Put an image's parts in place; it exists when `name` has given its descriptor a name.

        The same image with otherwise compressed layers is the same image: the blobs that are there stay.
        """
        config = document.encode()
        self.layout.create()
        for layer, chain_id in zip(reversed(list(new)), reversed(chain_ids(document.diff_ids))):
            self._put(layer, chain_id)
        sync_dir(self.layout.blobs)
        self.layout.put(config)
        known = self._manifest_of(sha256(config))
        if known is not None:
            return known
        manifest = Manifest(Descriptor.of(CONFIG, config), blobs).encode()
        self.layout.put(manifest)
        return Descriptor.of(MANIFEST, manifest)

    def shelve(self, layer: NewLayer, chain_id: str) -> None:
        """Put a layer in place that is no image's yet. Only a record that says it is needed keeps it there."""
        self.layout.create()
        self._put(layer, chain_id)
        sync_dir(self.layout.blobs)

    def _put(self, layer: NewLayer, chain_id: str) -> None:
        os.replace(layer.blob, self.layout.blob(layer.descriptor.digest))
        self._place(layer.directory, self.store.paths.layer(chain_id))

    def has_rest_of(self, parcel: Parcel) -> bool:
        """Whether those layers of an image are still here that it did not have to bring."""
        rest = (one for one in chain_ids(parcel.document.diff_ids) if one not in parcel.layers)
        return all(os.path.isdir(self.store.paths.layer(chain_id)) for chain_id in rest)

    def place(self, parcel: Parcel) -> None:
        """Put an image's layers in place, as they travelled and unpacked."""
        self.layout.create()
        for digest, path in parcel.blobs.items():
            os.replace(path, self.layout.blob(digest))
        for chain_id, directory in parcel.layers.items():
            self._place(directory, self.store.paths.layer(chain_id))
        Downloads(self.store.paths).forget(parcel.blobs)
        sync_dir(self.layout.blobs)

    def accept(self, parcel: Parcel) -> Descriptor:
        """Put an image in place as it came, so that every digest stays what it was elsewhere.

        Only a manifest with Docker's types is written anew, with those of a layout.
        """
        self.place(parcel)
        self.layout.put(parcel.config)
        raw, translated = parcel.root.raw, parcel.manifest.as_oci()
        said = parse(raw, "the manifest").text("mediaType", MANIFEST)
        if parcel.manifest != translated or said != MANIFEST:
            raw = translated.encode()
        self.layout.put(raw)
        return Descriptor.of(MANIFEST, raw)

    def name(self, image: Descriptor, reference: str, source: str = "") -> None:
        """Let `reference` mean the image. What it meant before stays, without a name, while containers stand on it."""
        notes = {REF_NAME: reference, **({SOURCE: source} if source else {})}
        entries = rubbish.without_names(self.layout.entries(), (reference,))
        kept = [entry for entry in entries if entry.digest != image.digest or REF_NAME in entry.annotations]
        self.layout.write_entries([*kept, image._replace(annotations=notes)])

    def untag(self, reference: str) -> None:
        """Take a name away."""
        entries = self.layout.entries()
        kept = rubbish.without_names(entries, (reference,))
        if kept != entries:  # where there is no store, none is made
            self.layout.write_entries(kept)

    def restore_layers(self, image: StoredImage, work: Workspace) -> None:
        """Unpack those of an image's layers that are not there."""
        places = self.store.layer_dirs(image)
        for number, place in enumerate(places):
            if not os.path.isdir(place):
                blob = self.layout.blob(image.blobs[number].digest)
                self._place(restore(blob, image.diff_ids[number], work, below=places[:number]), place)

    def sweep(self, spared: Collection[str] = rubbish.NOTHING, age: float = AGE) -> None:
        """Remove blobs, layers and workspaces that neither an image nor a container needs.

        `spared` are digests of images that stay although they have no name, and what was broken off and is younger than
        `age` seconds waits to be gone on with.
        """
        downloads = Downloads(self.store.paths)
        downloads.forget(downloads.abandoned(age))
        for path in (*workspace.abandoned(self.store.paths), *self.layout.torn()):
            remove_tree(path)
        found = rubbish.look(self.store, self.used, spared=spared)
        if len(found.kept) != len(self.layout.entries()):
            self.layout.write_entries(found.kept)
        for digest in found.blobs:
            os.unlink(self.layout.blob(digest))
        self._remove_layers(found.layers)

    def _manifest_of(self, image_id: str) -> Descriptor | None:
        return next((entry for entry in self.layout.entries() if self.layout.image_id(entry) == image_id), None)

    def _place(self, temporary: str, final: str) -> None:
        """Rename a layer into the store; it is there already when another task was faster."""
        if not os.path.lexists(final):
            make_private_dir(os.path.dirname(final))
            os.rename(temporary, final)
            sync_dir(os.path.dirname(final))

    def _remove_layers(self, chain_ids: Iterable[str]) -> None:
        """A layer leaves its place whole, by rename, and is taken apart where nobody looks for it."""
        with Workspace(self.store.paths) as work:
            for chain_id in chain_ids:
                dead = work.new("dead")
                os.rename(self.store.paths.layer(chain_id), dead)
                remove_tree(dead)


def image_document(
    config: ImageConfig,
    diff_ids: tuple[str, ...],
    created: str,
    history: tuple[History, ...],
    base: StoredImage | None,
    *,
    author: str = "",
    target: Platform | None = None,
) -> ImageDocument:
    """The document of an image for its base's platform, for `target`, or for this host's."""
    serves = base.platform if base else target or host()
    return ImageDocument(
        serves.architecture, serves.os, created, config, diff_ids, history, author, variant=serves.variant
    )
