# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the store nobody needs: images without a name, and layers and blobs of no image.

An image stays while it has a name or a container stands on it, a layer and a blob while an image has them. This file
only looks; what it finds is removed by the writer, or shown by who asks what would be.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from ..core.errors import BadImage, BadInput
from ..core.paths import Paths
from .layout import REF_NAME, Layout
from .manifest import NO_NOTES, Descriptor, chain_ids
from .store import ImageStore
from .tree import walk

NOTHING: frozenset[str] = frozenset()
_LAYER = "layer "  # a chain id of one layer is the digest of its tar, too


class Rubbish(NamedTuple):
    """`kept` is the index without the images that go; those, by id; layers by chain id; blobs by digest."""

    kept: tuple[Descriptor, ...]
    images: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()


def look(
    store: ImageStore,
    used: Collection[str],
    without: Collection[str] = NOTHING,
    spared: Collection[str] = NOTHING,
) -> Rubbish:
    """What can go, were the names `without` taken away. `used` are ids of images, layers and blobs that others need.

    `spared` are digests of images that stay although they have no name. An image that cannot be read might need any
    layer: then all stay, and all blobs.
    """
    entries = without_names(store.layout.entries(), without)
    ids = {entry.digest: store.layout.image_id(entry) for entry in entries}
    stays = [REF_NAME in entry.annotations or ids[entry.digest] in used or entry.digest in spared for entry in entries]
    kept = tuple(entry for entry, stay in zip(entries, stays) if stay)
    gone = {ids[entry.digest] for entry in entries} - {ids[entry.digest] for entry in kept}
    found = Rubbish(kept, tuple(sorted(filter(None, gone))))
    with suppress(BadImage):
        blobs, layers = _needed(store.layout, kept)
        return found._replace(
            layers=_others(store.paths.layers, layers | set(used)), blobs=_others(store.layout.blobs, blobs | set(used))
        )
    return found


def without_names(entries: Collection[Descriptor], names: Collection[str]) -> list[Descriptor]:
    """The index without some names; the last entry of an image stays, unnamed."""
    kept = [entry for entry in entries if entry.annotations.get(REF_NAME) not in names]
    present = {entry.digest for entry in kept}
    lost = {entry.digest: entry for entry in entries if entry.digest not in present}
    return [*kept, *(entry._replace(annotations=NO_NOTES) for entry in lost.values())]


def unnamed(layout: Layout) -> frozenset[str]:
    """The digests of images without a name."""
    return frozenset(entry.digest for entry in layout.entries() if REF_NAME not in entry.annotations)


def _needed(layout: Layout, entries: Iterable[Descriptor]) -> tuple[set[str], set[str]]:
    blobs: set[str] = set()
    layers: set[str] = set()
    for entry in entries:
        manifest = layout.manifest(entry)
        blobs.update((entry.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)))
        layers.update(chain_ids(layout.image(manifest).diff_ids))
    return blobs, layers


def _others(directory: str, needed: Collection[str]) -> tuple[str, ...]:
    """What is filed in a directory and not needed."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return ()
    return tuple(f"sha256:{name}" for name in names if name != "tmp" and f"sha256:{name}" not in needed)


def weights(store: ImageStore, found: Rubbish) -> dict[str, int]:
    """How many bytes of the disk come free, by what is removed."""
    blobs = {digest: _bytes(store.layout.blob(digest)) for digest in found.blobs}
    return {**blobs, **{f"{_LAYER}{one}": tree_size(store.paths.layer(one)) for one in found.layers}}


def goes_with(found: Rubbish) -> frozenset[str]:
    """What is removed, as `weights` calls it."""
    return frozenset((*found.blobs, *(f"{_LAYER}{one}" for one in found.layers)))


def still_there(paths: Paths, found: Rubbish) -> Rubbish:
    """What of it was not removed after all."""
    store = ImageStore(paths)
    return found._replace(
        blobs=tuple(one for one in found.blobs if os.path.lexists(store.layout.blob(one))),
        layers=tuple(one for one in found.layers if os.path.lexists(paths.layer(one))),
    )


def tree_size(path: str) -> int:
    """The bytes of the disk that a directory takes, a file with several names once."""
    sizes: dict[tuple[int, int], int] = {}
    with suppress(BadInput, FileNotFoundError):  # nested more deeply than can be looked at; or not there
        for item in walk(path):
            sizes[item.stat.st_dev, item.stat.st_ino] = 512 * item.stat.st_blocks
    return sum(sizes.values())


def _bytes(path: str) -> int:
    try:
        return 512 * os.lstat(path).st_blocks
    except OSError:
        return 0
