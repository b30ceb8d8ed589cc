# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what goes and let it go, each by the removal of its own engine.

What has come into use since it was looked at is not removed: each engine looks again under its own lock, and what it
refuses stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from ...core.errors import Conflict
from ...core.paths import Paths
from ...core.plan import Action, Observer, Plan, Step, apply, silent
from ...core.specs.container import ContainerSpec
from ...image import rubbish
from ...image.store import ImageStore
from ..containers.compare import Wish
from ..containers.converge import converge
from ..images import removal
from ..networks import converge as networks
from ..volumes import converge as volumes
from .observe import Unused, Wanted, observe


class Outcome(NamedTuple):
    """The plan, run or not, and what went, or would: by kind, with the bytes that come free."""

    plan: Plan
    removed: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


def prune(paths: Paths, wanted: Wanted, *, check: bool = False, observer: Observer = silent) -> Outcome:
    """What is wanted and what nobody uses is gone."""
    seen = observe(paths, wanted)
    steps = plan(seen)
    kept: set[tuple[str, str]] = set()
    if steps and not check:
        apply(steps, _actions(paths, kept), observer)
    lost = tuple(
        f"the record of the container {one} cannot be read, so nobody knows what it uses" for one in seen.unknown
    )
    return Outcome(steps, _removed(paths, wanted, seen, kept, check=check), lost)


def plan(seen: Unused) -> Plan:
    """Containers first: what only they used goes with them."""
    steps = [
        Step("remove-container", record.name, f"it does not run, since {record.created}") for record in seen.containers
    ]
    for image in seen.images:
        steps += removal.untag(image.references, image)
    steps += [Step("forget-build", name, "its steps are not kept any longer") for name in seen.builds]
    swept = seen.rubbish and (seen.rubbish.images or seen.rubbish.layers or seen.rubbish.blobs)
    if swept or seen.leftovers:
        steps.append(removal.sweep("store", seen.spared, age=0))
    steps += [Step("remove-network", name, "no container is in it") for name in seen.networks]
    steps += [Step("remove-volume", name, "no container has it") for name in seen.volumes]
    steps += [Step("remove-volume", name, "no build mounts it just now") for name in seen.caches]
    return Plan.of(steps)


def _actions(paths: Paths, kept: set[tuple[str, str]]) -> Mapping[str, Action]:
    from ..images.actions import ImageActions

    images = ImageActions(paths)

    def unless_used(remove: Callable[[Step], Any]) -> Action:
        def do(step: Step) -> None:
            try:
                remove(step)
            except Conflict:
                kept.add((step.name, step.target))

        return Action(do)

    return {
        "remove-container": unless_used(lambda step: converge(paths, _idle(step.target))),
        "untag": unless_used(images.untag),
        "forget-build": unless_used(images.forget_build),
        "sweep": Action(images.sweep),
        "remove-network": unless_used(lambda step: networks.remove(paths, step.target)),
        "remove-volume": unless_used(lambda step: volumes.remove(paths, step.target)),
    }


def _idle(name: str) -> Wish:
    return Wish(ContainerSpec(name), "absent", unless_running=True)


def _removed(paths: Paths, wanted: Wanted, seen: Unused, kept: set[tuple[str, str]], *, check: bool) -> dict[str, Any]:
    """The keys of `docker_prune`, for the kinds that are wanted."""
    found: dict[str, Any] = {}
    if wanted.containers:
        gone = [record.id for record in seen.containers if ("remove-container", record.name) not in kept]
        found["containers"] = gone
        found["containers_space_reclaimed"] = sum(seen.weights["containers"][one] for one in gone)
    if wanted.images:
        there = set() if check else {image.id for image in ImageStore(paths).images()}
        found["images"] = sorted({image.id for image in seen.images} - there)
        found["images_untagged"] = [
            name for one in seen.images for name in one.references if ("untag", name) not in kept
        ]
        found["images_space_reclaimed"] = _freed(paths, seen, "images", check=check)
    if wanted.builder_cache:
        caches = [name for name in seen.caches if ("remove-volume", name) not in kept]
        found["builder_cache_caches_deleted"] = [
            *(one for one in seen.builds if ("forget-build", one) not in kept),
            *caches,
        ]
        freed = _freed(paths, seen, "builder_cache", check=check)
        found["builder_cache_space_reclaimed"] = freed + sum(seen.weights["volumes"][name] for name in caches)
    if wanted.networks:
        found["networks"] = [name for name in seen.networks if ("remove-network", name) not in kept]
    if wanted.volumes:
        gone = [name for name in seen.volumes if ("remove-volume", name) not in kept]
        found["volumes"] = gone
        found["volumes_space_reclaimed"] = sum(seen.weights["volumes"][name] for name in gone)
    return found


def _freed(paths: Paths, seen: Unused, kind: str, *, check: bool) -> int:
    """What of the image store has gone indeed."""
    left = frozenset() if check or seen.rubbish is None else rubbish.goes_with(rubbish.still_there(paths, seen.rubbish))
    return sum(size for one, size in seen.weights.get(kind, {}).items() if one not in left)
