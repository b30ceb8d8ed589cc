# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as `docker image inspect` shows it, for the playbooks that index those keys."""

from __future__ import annotations

from typing import Any

from ...image.manifest import plain_config
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
        "RepoTags": list(image.references),
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
    names = {reference.rpartition(":")[0] for reference in image.references}
    return [f"{name}@{image.manifest_digest}" for name in sorted(names)]
