# SPDX-License-Identifier: GPL-3.0-or-later
"""Media types: those of the OCI image specification, and Docker's for the same things.

The store has OCI types throughout, because the tools that read a layout in place know no others there. Configurations
and layers are the same bytes in both worlds, so an image keeps its id, and only its manifest is written anew.
"""

from __future__ import annotations

_OCI = "application/vnd.oci.image."
_DOCKER = "application/vnd.docker."

INDEX = _OCI + "index.v1+json"
MANIFEST = _OCI + "manifest.v1+json"
CONFIG = _OCI + "config.v1+json"
LAYER = _OCI + "layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"

_SAME = {
    _DOCKER + "distribution.manifest.list.v2+json": INDEX,
    _DOCKER + "distribution.manifest.v2+json": MANIFEST,
    _DOCKER + "container.image.v1+json": CONFIG,
    _DOCKER + "image.rootfs.diff.tar": LAYER,
    _DOCKER + "image.rootfs.diff.tar.gzip": LAYER_GZIP,
    _DOCKER + "image.rootfs.diff.tar.zstd": LAYER_ZSTD,
}

LAYERS = (LAYER, LAYER_GZIP, LAYER_ZSTD)
# What a registry is asked for.
ACCEPTED = (INDEX, MANIFEST, *(docker for docker, oci in _SAME.items() if oci in (INDEX, MANIFEST)))


def as_oci(media_type: str) -> str:
    """The OCI type of the same thing; any other type as it is."""
    return _SAME.get(media_type, media_type)
