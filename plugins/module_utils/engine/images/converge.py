# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan and apply for one image; and what a task is told of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple, Optional

from ...core.paths import Paths
from ...core.plan import Observer, Plan, apply, silent
from ...image.origin import ABSENT
from ...image.store import ImageStore
from .. import reserve
from . import loading, removal, tagging
from .describe import describe
from .observe import Connect, observe
from .plan import plan_present
from .spec import ImageSpec


class Outcome(NamedTuple):
    """The plan, run or not, and the image as it is afterwards. In check mode: as it is now."""

    plan: Plan
    image: Optional[dict[str, Any]]
    warnings: tuple[str, ...] = ()


def ensure(
    paths: Paths,
    wanted: ImageSpec,
    *,
    connect: Optional[Connect] = None,
    check: bool = False,
    observer: Observer = silent,
) -> Outcome:
    """The image exists and is as asked. Without `connect` no registry is asked for it."""
    seen = observe(paths, wanted, connect=connect, presume=check)
    plan = plan_present(wanted, seen)
    store = ImageStore(paths)
    if not plan or check:
        absent = seen.source is not None and seen.source.kind == ABSENT
        warnings = (f"there is no {wanted.src or wanted.load_path}",) if absent else ()
        return Outcome(plan, describe(store, seen.image) if seen.image else None, warnings)
    _run(paths, plan, observer, connect)
    return Outcome(plan, describe(store, store.resolve(str(wanted.reference))))


def tag(
    paths: Paths,
    image: str,
    names: Collection[str],
    existing: str,
    *,
    check: bool = False,
    observer: Observer = silent,
) -> Outcome:
    """Each of the names means the image."""
    seen = tagging.observe(paths, image, names)
    plan = tagging.plan(image, seen, existing, presume=check)
    if plan and not check:
        _run(paths, plan, observer)
        seen = tagging.observe(paths, image, ())
    shown = describe(ImageStore(paths), seen.image) if seen.image else None
    return Outcome(plan, shown, () if seen.image else (f"there is no image {image}",))


class Loaded(NamedTuple):
    """The plan, run or not, and the images that there are of those in the archive."""

    plan: Plan
    names: tuple[str, ...]
    images: list[dict[str, Any]]
    warnings: tuple[str, ...] = ()


def load(paths: Paths, path: str, *, check: bool = False, observer: Observer = silent) -> Loaded:
    """All images of an archive or a layout are there, under the names that they have in it."""
    seen = loading.observe(paths, path, presume=check)
    plan = loading.plan(seen)
    if plan and not check:
        _run(paths, plan, observer)
    store = ImageStore(paths)
    found = [store.find(str(name)) for name in seen.names]
    shown = [describe(store, image) for image in found if image is not None]
    warnings = (f"there is no {path}",) if seen.source.kind == ABSENT else ()
    return Loaded(plan, tuple(map(str, seen.names)), shown, warnings)


class Removed(NamedTuple):
    """The plan, run or not, the names that it takes away, and the ids of the images and layers that go with them."""

    plan: Plan
    untagged: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


def remove(
    paths: Paths,
    name: str,
    tag: Optional[str] = None,
    *,
    force: bool = False,
    prune: bool = True,
    check: bool = False,
    observer: Observer = silent,
) -> Removed:
    """The name is gone, and what only it kept. Without `prune` other images that have no name stay."""
    seen = removal.observe(paths, name, tag, prune=prune)
    plan = removal.plan(seen, force=force)
    if plan and not check:
        _run(paths, plan, observer)
    return Removed(plan, seen.untagged, seen.deleted) if plan else Removed(plan)


def _run(paths: Paths, plan: Plan, observer: Observer, connect: Optional[Connect] = None) -> None:
    from .actions import actions  # tar and compression: a task with nothing to do does not load them

    apply(plan, actions(paths, connect), observer)
    reserve.keep(paths)
