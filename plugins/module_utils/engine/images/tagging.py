# SPDX-License-Identifier: GPL-3.0-or-later
"""Further names for an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...core.errors import BadImage, NotFound
from ...core.names import short_id
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...image.store import ImageStore, StoredImage

KEEP, OVERWRITE = "keep", "overwrite"


@dataclass(frozen=True)
class Naming:
    """The image, and what each of the names means now; a damaged image is one without an id."""

    image: Optional[StoredImage] = None
    holders: Mapping[str, Optional[StoredImage]] = field(default_factory=dict)
    damaged: frozenset[str] = frozenset()


def observe(paths: Paths, image: str, names: Collection[str]) -> Naming:
    """Reads only."""
    store = ImageStore(paths)
    holders: dict[str, Optional[StoredImage]] = {}
    damaged = set()
    for name in names:
        try:
            holders[name] = store.find(name)
        except BadImage:
            holders[name] = None
            damaged.add(name)
    return Naming(store.find(image), holders, frozenset(damaged))


def plan(image: str, seen: Naming, existing: str = OVERWRITE, *, presume: bool = False) -> Plan:
    """Each name means the image; with `KEEP` those that mean one already are let alone.

    With `presume` the image need not be there: check mode cannot have made it.
    """
    if seen.image is None and not presume:
        raise NotFound(f"there is no image {image} to give a name to", hint="fetch or make it with mini_image")
    steps = [_step(image, name, holder, seen) for name, holder in seen.holders.items() if _lacks(name, seen, existing)]
    if any(seen.holders[step.target] for step in steps) or any(step.target in seen.damaged for step in steps):
        steps.append(Step("sweep", "store", "what no image and no container needs"))
    return Plan.of(steps)


def _lacks(name: str, seen: Naming, existing: str) -> bool:
    holder = seen.holders[name]
    if holder is None:
        return existing == OVERWRITE or name not in seen.damaged
    return existing == OVERWRITE and (seen.image is None or holder.manifest_digest != seen.image.manifest_digest)


def _step(image: str, name: str, holder: Optional[StoredImage], seen: Naming) -> Step:
    new = short_id(seen.image.id) if seen.image else image
    reason = f"{short_id(holder.id)} → {new}" if holder else f"for {new}"
    return Step("tag", name, reason, detail={"image": seen.image, "before": holder})
