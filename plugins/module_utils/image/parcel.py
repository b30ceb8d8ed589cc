# SPDX-License-Identifier: GPL-3.0-or-later
"""An image on its way to the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .manifest import Descriptor, ImageDocument, Manifest


class Root(NamedTuple):
    """What a name stands for: an index or a manifest, verified."""

    descriptor: Descriptor
    raw: bytes


class Parcel(NamedTuple):
    """An image that is whole, but not yet in the store. `blobs` and `layers` are those that the store lacked."""

    root: Root
    manifest: Manifest
    config: bytes
    document: ImageDocument
    blobs: Mapping[str, str]
    layers: Mapping[str, str]
