# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers have a volume, running or not: their records say so, and nobody else needs to count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.paths import Paths
from ..records import names_in, peek


def users(paths: Paths, volume: str, but: str = "") -> tuple[str, ...]:
    """The names of the containers that use the volume, without the one whose id is `but`."""
    return holders(paths, but).get(volume, ())


def holders(paths: Paths, but: str = "") -> Mapping[str, tuple[str, ...]]:
    """Of each volume that a container uses, the names of all that do."""
    found: dict[str, set[str]] = {}
    for container_id in names_in(paths.containers):
        record = peek(paths, container_id) or {}
        name = str(record.get("name") or container_id[:12])
        for volume in _volumes(record) if container_id != but else ():
            found.setdefault(volume, set()).add(name)
    return {volume: tuple(sorted(names)) for volume, names in found.items()}


def _volumes(record: dict[str, Any]) -> list[str]:
    spec = record.get("spec")
    found = record.get("mounts") or (spec.get("mounts") if isinstance(spec, dict) else None)
    mounts = [mount for mount in found if isinstance(mount, dict)] if isinstance(found, list) else []
    return [str(mount.get("source")) for mount in mounts if mount.get("kind") == "volume"]
