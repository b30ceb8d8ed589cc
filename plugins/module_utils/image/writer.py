# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the store: add an image, name it, take the name away, sweep what nothing needs any more.

Blobs and layers are renamed into place first and the index is replaced last, all under the store's lock, so a reader
sees an image when it is whole. Removal is the other way round: first the index, then what it alone kept.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress

from ..core.errors import BadImage
from ..core.specs import ImageConfig
from ..linux.files import make_private_dir, remove_tree, sync_dir
from . import workspace
from .document import parse
from .intake import NewLayer, restore
from .layout import REF_NAME
from .manifest import NO_NOTES, Descriptor, History, ImageDocument, Manifest, chain_ids, sha256
from .media import CONFIG, MANIFEST
from .parcel import Parcel
from .store import SOURCE, ImageStore, StoredImage
from .workspace import Workspace

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


class ImageWriter:
    """The one writer of an `ImageStore`. `used` are the ids of images and layers that containers stand on."""

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
            os.replace(layer.blob, self.layout.blob(layer.descriptor.digest))
            self._place(layer.directory, self.store.paths.layer(chain_id))
        sync_dir(self.layout.blobs)
        self.layout.put(config)
        known = self._manifest_of(sha256(config))
        if known is not None:
            return known
        manifest = Manifest(Descriptor.of(CONFIG, config), blobs).encode()
        self.layout.put(manifest)
        return Descriptor.of(MANIFEST, manifest)

    def place(self, parcel: Parcel) -> None:
        """Put an image's layers in place, as they travelled and unpacked."""
        self.layout.create()
        for digest, path in parcel.blobs.items():
            os.replace(path, self.layout.blob(digest))
        for chain_id, directory in parcel.layers.items():
            self._place(directory, self.store.paths.layer(chain_id))
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
        entries = self._without(reference)
        kept = [entry for entry in entries if entry.digest != image.digest or REF_NAME in entry.annotations]
        self.layout.write_entries([*kept, image._replace(annotations=notes)])

    def untag(self, reference: str) -> None:
        """Take a name away."""
        kept = self._without(reference)
        if kept != self.layout.entries():  # where there is no store, none is made
            self.layout.write_entries(kept)

    def forget(self, image_id: str) -> None:
        """Take all names of an image away."""
        for image in self.store.images():
            if image.id == image_id:
                for reference in image.references:
                    self.untag(reference)

    def restore_layers(self, image: StoredImage, work: Workspace) -> None:
        """Unpack those of an image's layers that are not there."""
        for number, chain_id in enumerate(image.layers):
            place = self.store.paths.layer(chain_id)
            if not os.path.isdir(place):
                blob = self.layout.blob(image.blobs[number].digest)
                self._place(restore(blob, image.diff_ids[number], work, upper=number > 0), place)

    def sweep(self) -> None:
        """Remove blobs, layers and workspaces that neither an image nor a container needs.

        An image that cannot be read might need any of them: then all stay.
        """
        for path in workspace.abandoned(self.store.paths):
            remove_tree(path)
        self._drop_unnamed()
        with suppress(BadImage):
            blobs, layers = self._needed()
            self._remove_blobs(blobs)
            self._remove_layers(layers)

    def _manifest_of(self, image_id: str) -> Descriptor | None:
        return next((entry for entry in self.layout.entries() if self._image_id(entry) == image_id), None)

    def _place(self, temporary: str, final: str) -> None:
        """Rename a layer into the store; it is there already when another task was faster."""
        if not os.path.lexists(final):
            make_private_dir(os.path.dirname(final))
            os.rename(temporary, final)
            sync_dir(os.path.dirname(final))

    def _without(self, reference: str) -> list[Descriptor]:
        """The index without a name; the last entry of an image stays, unnamed, for the sweep to judge."""
        entries = self.layout.entries()
        kept = [entry for entry in entries if entry.annotations.get(REF_NAME) != reference]
        present = {entry.digest for entry in kept}
        lost = [entry for entry in entries if entry.digest not in present]
        return [*kept, *(entry._replace(annotations=NO_NOTES) for entry in lost)]

    def _drop_unnamed(self) -> None:
        entries = self.layout.entries()
        kept = [entry for entry in entries if REF_NAME in entry.annotations or self._image_id(entry) in self.used]
        if len(kept) != len(entries):
            self.layout.write_entries(kept)

    def _image_id(self, entry: Descriptor) -> str:
        try:
            return self.layout.manifest(entry).config.digest
        except BadImage:
            return ""

    def _needed(self) -> tuple[set[str], set[str]]:
        blobs: set[str] = set()
        layers = set(self.used)
        for entry in self.layout.entries():
            manifest = self.layout.manifest(entry)
            blobs.update((entry.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)))
            layers.update(chain_ids(self.layout.image(manifest).diff_ids))
        return blobs, layers

    def _remove_blobs(self, needed: set[str]) -> None:
        for name in _names(self.layout.blobs):
            if f"sha256:{name}" not in needed:
                os.unlink(os.path.join(self.layout.blobs, name))

    def _remove_layers(self, needed: set[str]) -> None:
        """A layer leaves its place whole, by rename, and is taken apart where nobody looks for it."""
        with Workspace(self.store.paths) as work:
            for name in _names(self.store.paths.layers):
                if name != "tmp" and f"sha256:{name}" not in needed:
                    dead = work.new("dead")
                    os.rename(os.path.join(self.store.paths.layers, name), dead)
                    remove_tree(dead)


def image_document(
    config: ImageConfig, diff_ids: tuple[str, ...], created: str, history: tuple[History, ...], base: StoredImage | None
) -> ImageDocument:
    """The document of an image for this host's architecture, or its base's."""
    machine = os.uname().machine
    architecture = base.architecture if base else _MACHINES.get(machine, machine)
    return ImageDocument(architecture, base.os if base else "linux", created, config, diff_ids, history)


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
