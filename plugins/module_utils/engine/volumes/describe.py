# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume in the words of docker_volume_info, so that playbooks move over."""

from __future__ import annotations

from typing import Any

from ...core.paths import Paths
from .record import VolumeRecord


def describe(paths: Paths, record: VolumeRecord) -> dict[str, Any]:
    """`docker volume inspect`."""
    return {
        "Name": record.name,
        "Driver": record.spec.driver,
        "Mountpoint": paths.volume_data(record.name),
        "Labels": dict(record.spec.labels),
        "CreatedAt": record.created,
        "Scope": "local",
        "Options": {},
    }
