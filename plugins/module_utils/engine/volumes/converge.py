# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan and apply for one volume, under its lock; and what a task is told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Optional

from ...core.names import check_name
from ...core.paths import Paths
from ...core.plan import Observer, Plan, apply, silent
from ...core.specs.volume import VolumeSpec
from ...linux.files import locked
from .actions import actions, new_record
from .describe import describe
from .observe import observe
from .plan import NEVER, plan_absent, plan_present, resolve
from .record import find


class Outcome(NamedTuple):
    """The plan, run or not, and the volume as it is afterwards (in check mode: as it would be)."""

    plan: Plan
    volume: Optional[dict[str, Any]]


def ensure(
    paths: Paths,
    wanted: VolumeSpec,
    given: Collection[str],
    *,
    recreate: str = NEVER,
    check: bool = False,
    observer: Observer = silent,
) -> Outcome:
    """The volume exists and is as asked."""
    with _lock(paths, wanted.name, check):
        seen = observe(paths, wanted.name)
        plan = plan_present(wanted, given, seen, recreate)
        if not check:
            apply(plan, actions(paths), observer)
    record = find(paths, wanted.name) if plan and not check else seen.record
    return Outcome(plan, describe(paths, record or new_record(resolve(wanted, given, seen), seen, anew=False)))


def remove(paths: Paths, name: str, *, check: bool = False, observer: Observer = silent) -> Outcome:
    """Nothing is left of the volume."""
    with _lock(paths, check_name("volume", name), check):
        plan = plan_absent(observe(paths, name))
        if not check:
            apply(plan, actions(paths), observer)
    return Outcome(plan, None)


def _lock(paths: Paths, name: str, check: bool) -> AbstractContextManager[Any]:
    """Check mode writes nothing, not even a lock."""
    return contextlib.nullcontext() if check else locked(paths.lock("volume", name), f"the volume {name}")
