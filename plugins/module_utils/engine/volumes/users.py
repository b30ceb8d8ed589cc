# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers have a volume, running or not: their records say so, and nobody else needs to count."""

from __future__ import annotations

from typing import Any

from ...core.paths import Paths
from ..records import names_in, peek


def users(paths: Paths, volume: str, but: str = "") -> tuple[str, ...]:
    """The names of the containers that use the volume, without the one whose id is `but`."""
    found = []
    for container_id in names_in(paths.containers):
        record = peek(paths, container_id) or {}
        if container_id != but and any(_is(mount, volume) for mount in _mounts(record)):
            found.append(str(record.get("name") or container_id[:12]))
    return tuple(sorted(found))


def _mounts(record: dict[str, Any]) -> list[Any]:
    spec = record.get("spec")
    found = record.get("mounts") or (spec.get("mounts") if isinstance(spec, dict) else None)
    return found if isinstance(found, list) else []


def _is(mount: Any, volume: str) -> bool:
    return isinstance(mount, dict) and mount.get("kind") == "volume" and mount.get("source") == volume
