# SPDX-License-Identifier: GPL-3.0-or-later
"""One build: read, observe, plan, apply, under the lock of the image's name; and what a task is told of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from ...core.errors import BadImage, NotFound
from ...core.paths import Paths
from ...core.plan import Action, Observer, Plan, Step, apply, silent
from ...image import workspace
from ...image.manifest import sha256
from ...image.store import ImageStore, StoredImage
from ...image.workspace import Workspace
from ...linux.files import locked
from ..images.actions import ImageActions
from ..images.describe import describe
from . import cache, run
from .assemble import assemble
from .bases import Bases, Registry
from .cache import Progress
from .context import entered
from .evaluate import Evaluation, evaluate
from .maker import Maker
from .plan import Observation, plan
from .spec import HOST, NONE, BuildSpec
from .works import Work, origins

_WAIT = 3600.0  # another build of the same name takes as long as it takes


class Outcome(NamedTuple):
    """The plan, run or not, and the image as it is afterwards. In check mode: as it is now."""

    plan: Plan
    image: Optional[dict[str, Any]]
    warnings: tuple[str, ...] = ()


def build(
    paths: Paths, wanted: BuildSpec, registry: Registry, *, check: bool = False, observer: Observer = silent
) -> Outcome:
    """The name means what its Containerfile makes. `registry` gives a client for a base that is not here."""
    store = ImageStore(paths)
    reference = str(wanted.reference)
    with entered(wanted) as context, _lock(paths, reference, check):
        there = _named(store, reference)
        if there is not None and not wanted.renew:
            return Outcome(Plan(), describe(store, there))
        if not check:
            _check_network(paths, wanted)
        bases = Bases(paths, registry, pull=wanted.pull, check=check, observer=observer)
        evaluation = evaluate(context.file, wanted, bases.find)
        maker = Maker(paths, wanted, context, evaluation)
        steps = plan(evaluation, reference, _observe(maker, there))
        if steps and not check:
            _apply(maker, bases, steps, observer)
        found = _named(store, reference)
        image = describe(store, found) if found else None
        return Outcome(bases.plan + steps, image, _warnings(evaluation))


def _lock(paths: Paths, reference: str, check: bool) -> contextlib.AbstractContextManager[Any]:
    path = cache.path(paths, reference)
    name = path.rpartition("/")[2].partition(".")[0]
    what = f"the build of {reference}"
    return contextlib.nullcontext() if check else locked(paths.lock("build", name), what, _WAIT)


def _check_network(paths: Paths, wanted: BuildSpec) -> None:
    if wanted.network not in ("", NONE, HOST) and not os.path.exists(paths.network_record(wanted.network)):
        raise NotFound(f"network: there is no network {wanted.network}", hint="make it first, or leave it out")


def _named(store: ImageStore, reference: str) -> Optional[StoredImage]:
    try:
        return store.find(reference)
    except BadImage:
        return None


def _observe(maker: Maker, there: Optional[StoredImage]) -> Observation:
    """Go through the steps as far as they are made. What stands on a step that is not made is not either."""
    reference = str(maker.wanted.reference)
    known = {} if maker.wanted.nocache else cache.find(maker.paths)
    pending: list[tuple[int, Work]] = []
    stale: set[int] = set()
    for stage in maker.evaluation.stages:
        if stage.unknown or stage.below in stale:
            stale.add(stage.index)
        for work in stage.works:
            if stage.index in stale or _lacks(work, stale) or not maker.look(stage.index, work, known):
                stale.add(stage.index)
                pending.append((stage.index, work))
    done = maker.evaluation.target.index not in stale
    built = sha256(assemble(maker.evaluation, maker.chains, maker.wanted).document.encode()) if done else ""
    return Observation(
        tuple(pending),
        there.id if there else "",
        built,
        leftovers=run.is_left(maker.paths, reference) or maker.network.is_left(),
        rubbish=os.path.exists(cache.path(maker.paths, reference)) or workspace.leftovers(maker.paths),
    )


def _lacks(work: Work, stale: set[int]) -> bool:
    """Whether a step takes files of a stage or an image that are not there yet."""
    return any(
        origin.stage in stale or (origin.stage < 0 and not origin.is_context and origin.image is None)
        for origin in origins(work)
    )


def _apply(maker: Maker, bases: Bases, steps: Plan, observer: Observer) -> None:
    progress = Progress(maker.paths, str(maker.wanted.reference))
    with maker.store.locked():
        progress.begin(bases.ids, maker.found)
    try:
        apply(steps, _actions(maker, progress), observer)
    finally:
        maker.network.remove()


def _actions(maker: Maker, progress: Progress) -> Mapping[str, Action]:
    def make(step: Step) -> None:
        maker.make(step.detail["stage"], step.detail["work"], progress)

    def name(step: Step) -> None:
        document, blobs = assemble(maker.evaluation, maker.chains, maker.wanted)
        with Workspace(maker.paths), maker.store.locked():
            maker.writer.name(maker.writer.add(document, blobs), step.target)
            progress.finish()

    def clear(step: Step) -> None:
        run.sweep(maker.paths, step.target)
        maker.network.remove()

    makes = dict.fromkeys(("run", "copy", "add", "workdir"), Action(make))
    return {**makes, "name": Action(name), "clear": Action(clear), "sweep": Action(ImageActions(maker.paths).sweep)}


def _warnings(evaluation: Evaluation) -> tuple[str, ...]:
    unused = ", ".join(evaluation.unused)
    return (f"args: {evaluation.file} has no ARG for {unused}",) if unused else ()
