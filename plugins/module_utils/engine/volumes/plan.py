# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task asks of a volume, and what is there, to the steps between. Pure: nothing is read or written."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from ...core.errors import Conflict
from ...core.plan import Impact, Plan, Step
from ...core.specs.volume import VolumeSpec
from .observe import Observation

ALWAYS, NEVER, OPTIONS_CHANGED = "always", "never", "options-changed"


def plan_present(wanted: VolumeSpec, given: Collection[str], seen: Observation, recreate: str = NEVER) -> Plan:
    """The volume exists and is as asked. `given` are the options that the task mentions."""
    spec = resolve(wanted, given, seen)
    changed = seen.record is not None and seen.record.spec != spec
    anew = seen.record is not None and (recreate == ALWAYS or (recreate == OPTIONS_CHANGED and changed))
    if anew and seen.users:
        raise _in_use("empty", seen)
    return Plan.of([*_steps(spec, seen, anew=anew)])


def _steps(spec: VolumeSpec, seen: Observation, *, anew: bool) -> Iterator[Step]:
    detail = {"seen": seen, "spec": spec, "anew": anew}
    if seen.corrupt:
        yield Step("set-record-aside", spec.name, "it cannot be read", detail=detail)
    if anew:
        reason = "the task says recreate: its content goes"
        yield Step("empty-volume", spec.name, reason, Impact.RECREATE, detail)
    if anew or not (seen.written and seen.data) or seen.corrupt or seen.record is None or seen.record.spec != spec:
        yield Step("write-volume", spec.name, _reason(spec, seen), detail=detail)
    if anew:
        yield Step("discard-content", spec.name, detail=detail)


def _reason(spec: VolumeSpec, seen: Observation) -> str:
    if seen.record is None:
        return "it does not exist"
    if not seen.data:
        return "its directory is gone"
    pairs = ((item.name, getattr(seen.record.spec, item.name), getattr(spec, item.name)) for item in FIELDS)
    return ", ".join(f"{name} {old} → {new}" for name, old, new in pairs if old != new)


FIELDS = dataclasses.fields(VolumeSpec)


def plan_absent(seen: Observation) -> Plan:
    """Nothing is left of the volume. Refused while a container has it, running or not."""
    if seen.users:
        raise _in_use("remove", seen)
    return Plan.of([Step("remove-volume", seen.name, detail={"seen": seen})] if seen.directory else [])


def resolve(wanted: VolumeSpec, given: Collection[str], seen: Observation) -> VolumeSpec:
    """The specification with nothing left open: an existing volume keeps what is not given."""
    if seen.record is None:
        return wanted
    return dataclasses.replace(seen.record.spec, **{name: getattr(wanted, name) for name in given})


def _in_use(verb: str, seen: Observation) -> Conflict:
    return Conflict(
        f"cannot {verb} the volume {seen.name}: containers have it ({', '.join(seen.users)})", hint="remove them first"
    )
