# SPDX-License-Identifier: GPL-3.0-or-later
"""One container from what is there to what is asked: observe, plan, apply, under the container's lock."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import NamedTuple, Optional

from ...core.paths import Paths
from ...core.plan import Observer, Plan, apply, silent
from ...core.specs import ContainerSpec
from ...linux.files import locked
from .observe import observe
from .plan import Wish, lacking, plan
from .record import ContainerRecord, find


class Outcome(NamedTuple):
    """What was done, or would be, and the container afterwards."""

    plan: Plan
    record: Optional[ContainerRecord]
    warnings: tuple[str, ...] = ()


def converge(paths: Paths, wish: Wish, *, check: bool = False, observer: Observer = silent) -> Outcome:
    """Make the host match the wish; with `check` say only what that would take."""
    name = wish.spec.name
    lock = locked(paths.lock("container", name), f"container {name}")
    with contextlib.nullcontext() if check else lock as held:
        seen = observe(paths, wish.spec, wish.contents)
        steps = plan(replace(wish, presume=check), seen)
        if steps and held is not None:
            _apply(paths, wish, steps, observer, held)
        taken = [str(lack.message) for lack in lacking(wish, seen)] if check and steps else []
        return Outcome(steps, _record_after(paths, name, steps, check=check), tuple(taken))


def remove(paths: Paths, name: str) -> None:
    """Neither the container nor its anonymous volumes are there afterwards."""
    converge(paths, Wish(ContainerSpec(name), "absent", keep_volumes=False))


def _apply(paths: Paths, wish: Wish, steps: Plan, observer: Observer, lock: int) -> None:
    """What only a change needs is loaded only then: most runs change nothing."""
    from ..boot.install import refresh
    from .actions import Actions

    refresh(paths)
    apply(steps, Actions(paths, wish.spec.name, lock, wish.contents).table(), observer)


def _record_after(paths: Paths, name: str, steps: Plan, *, check: bool) -> Optional[ContainerRecord]:
    """The record; in check mode one that cannot be read is none."""
    if check and any(step.name == "sweep" for step in steps):
        return None
    return find(paths, name)
