# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as `docker image inspect` shows it, for the playbooks that index those keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...image.manifest import plain_config
from ...image.origin import repository_digest
from ...image.reference import repository
from ...image.store import ImageStore, StoredImage

_KEYS = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "User", "Volumes", "WorkingDir"),
    *("StopSignal", "OnBuild", "Shell"),
)


def describe(store: ImageStore, image: StoredImage) -> dict[str, Any]:
    """`Size` is that of the layers as they are kept; `LowerDir` lists the unpacked ones, the top first."""
    config = plain_config(image.config)
    return {
        "Id": image.id,
        "RepoTags": [reference for reference in image.references if "@" not in reference],
        "RepoDigests": repository_digests(image, image.references),
        "Created": image.created,
        "Author": image.author,
        "Comment": image.comment,
        "Architecture": image.architecture,
        **({"Variant": image.variant} if image.variant else {}),
        "Os": image.os,
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Config": {key: config.get(key, "" if key in ("User", "WorkingDir", "StopSignal") else None) for key in _KEYS},
        "GraphDriver": {
            "Name": "overlay",
            "Data": {"LowerDir": ":".join(reversed(store.layer_dirs(image)))},
        },
        "Metadata": {},
    }


def sharing(images: Collection[StoredImage]) -> Mapping[str, int]:
    """Of each layer's blob, how many images have it."""
    return Counter(digest for image in images for digest in {blob.digest for blob in image.blobs})


def describe_among(
    image: StoredImage, sharing: Mapping[str, int], users: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """What is to be said of an image among the others: its sizes, its history, and who stands on it.

    `users` are the containers' names, each with the ids of what it stands on.
    """
    shared = sum({blob.digest: blob.size for blob in image.blobs if sharing[blob.digest] > 1}.values())
    whole = sum({blob.digest: blob.size for blob in image.blobs}.values())
    return {
        "SharedSize": shared,
        "UniqueSize": whole - shared,
        "History": list(_history(image))[::-1],
        "Containers": sorted(name for name, ids in users.items() if image.id in ids),
    }


def _history(image: StoredImage) -> Iterator[dict[str, Any]]:
    """The bottom first. What only changed the configuration has no layer, and so no size."""
    sizes = iter(blob.size for blob in image.blobs)
    for item in image.history:
        size = 0 if item.empty_layer else next(sizes, 0)
        yield {"Created": item.created, "CreatedBy": item.created_by, "Comment": item.comment, "Size": size}


def repository_digests(image: StoredImage, references: Collection[str]) -> list[str]:
    """The digest in each repository that the names are of: as the registry has it, where it came from one."""
    found = set()
    for reference in references:
        digest = repository_digest(image.sources.get(reference, "")) or image.manifest_digest
        found.add(f"{repository(reference)}@{digest}")
    return sorted(found)
