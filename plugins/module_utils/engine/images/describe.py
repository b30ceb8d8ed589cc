# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as `docker image inspect` shows it, for the playbooks that index those keys."""

from __future__ import annotations

from typing import Any

from ...image.manifest import plain_config
from ...image.origin import repository_digest
from ...image.store import ImageStore, StoredImage

_KEYS = (
    *("Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "User", "Volumes", "WorkingDir"),
    "StopSignal",
)


def describe(store: ImageStore, image: StoredImage) -> dict[str, Any]:
    """`Size` is that of the layers as they are kept; `LowerDir` lists the unpacked ones, the top first."""
    config = plain_config(image.config)
    return {
        "Id": image.id,
        "RepoTags": [reference for reference in image.references if "@" not in reference],
        "RepoDigests": _digests(image),
        "Created": image.created,
        "Author": "",
        "Comment": "",
        "Architecture": image.architecture,
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


def _digests(image: StoredImage) -> list[str]:
    """As the registry has it, where it came from one."""
    found = set()
    for reference in image.references:
        name = reference.partition("@")[0] if "@" in reference else reference.rpartition(":")[0]
        found.add(f"{name}@{repository_digest(image.sources.get(reference, '')) or image.manifest_digest}")
    return sorted(found)
