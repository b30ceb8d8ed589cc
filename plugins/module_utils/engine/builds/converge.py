# SPDX-License-Identifier: GPL-3.0-or-later
"""One build: read, observe, plan, apply, under the lock of the image's name; and what a task is told of it."""

from __future__ import annotations

import contextlib
import os
from typing import Any, NamedTuple, Optional

from ...core.errors import BadImage, NotFound
from ...core.paths import Paths
from ...core.plan import Observer, Plan, silent
from ...image.store import ImageStore, StoredImage
from ...linux.files import locked
from ..images.describe import describe
from . import cache
from .bases import Bases, Registry
from .context import entered
from .evaluate import Evaluation, evaluate
from .keys import Keys
from .observe import observe
from .plan import plan
from .spec import HOST, NONE, BuildSpec

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
    store, reference = ImageStore(paths), str(wanted.reference)
    with entered(wanted) as context, _lock(paths, reference, check):
        there = _named(store, reference)
        if there is not None and not wanted.renew:
            return Outcome(Plan(), describe(store, there))
        if not check:
            _check_network(paths, wanted)
        bases = Bases(paths, registry, pull=wanted.pull, check=check, observer=observer)
        keys = Keys(context, wanted, evaluate(context.file, wanted, bases.find))
        seen, found = observe(paths, keys, there)
        steps = plan(keys.evaluation, reference, seen)
        if steps and not check:
            from .actions import do  # containers, tar, compression: a task with nothing to do does not load them

            do(paths, keys, steps, bases.ids, found, observer)
        named = _named(store, reference)
        image = describe(store, named) if named else None
        return Outcome(bases.plan + steps, image, _warnings(keys.evaluation))


def _lock(paths: Paths, reference: str, check: bool) -> contextlib.AbstractContextManager[Any]:
    if check:
        return contextlib.nullcontext()
    return locked(cache.lock(paths, reference), f"the build of {reference}", _WAIT)


def _check_network(paths: Paths, wanted: BuildSpec) -> None:
    if wanted.network not in ("", NONE, HOST) and not os.path.exists(paths.network_record(wanted.network)):
        raise NotFound(f"network: there is no network {wanted.network}", hint="make it first, or leave it out")


def _named(store: ImageStore, reference: str) -> Optional[StoredImage]:
    try:
        return store.find(reference)
    except BadImage:
        return None


def _warnings(evaluation: Evaluation) -> tuple[str, ...]:
    unused = ", ".join(evaluation.unused)
    return (f"args: {evaluation.file} has no ARG for {unused}",) if unused else ()
