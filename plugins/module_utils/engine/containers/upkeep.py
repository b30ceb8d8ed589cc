# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a container's plan that concerns its monitor: what it is told, its replacement, pauses, health. Pure."""

from __future__ import annotations

from typing import Optional

from ...core.errors import BadInput
from ...core.plan import Impact, Step
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from . import healthcheck
from .compare import changes
from .observe import EXITED, Observation

# The monitor reads these in the bundle, and again when it is told that they have changed.
TOLD = ("restart_policy", "restart_retries", "healthcheck", "auto_remove", "log_max_size", "log_max_files")


def tell(seen: Observation, wanted: ContainerSpec) -> list[Step]:
    """Let the monitor of a running container know. Before the record says so: a crash between is seen next time."""
    if not seen.running or seen.record is None:
        return []
    reason = "; ".join(changes(seen.record.spec, wanted, TOLD))
    if reason:
        return [Step("write-bundle", wanted.name, reason, detail={"spec": wanted}), Step("reload", wanted.name, reason)]
    if seen.vitals.untold and not seen.vitals.unwatched:
        return [Step("reload", wanted.name, "its monitor has not read the bundle")]
    return []


def adopt(seen: Observation, name: str) -> list[Step]:
    """A new monitor for a container that has outlived its own."""
    return [Step("adopt", name, "its monitor is dead")] if seen.running and seen.vitals.unwatched else []


def pause(wanted: Optional[bool], now: bool, name: str) -> list[Step]:
    """From paused or not to what the task says, if it says something."""
    if wanted is None or wanted == now:
        return []
    return [Step("pause", name) if wanted else Step("unpause", name, "it is paused")]


def prove(state: str, timeout: float, name: str) -> list[Step]:
    """A container that is to replace another one has to be healthy first, when that is asked for."""
    return [Step("wait-healthy", name, detail={"timeout": timeout})] if state == "healthy" else []


def check_healthy(state: str, spec: ContainerSpec, image: ImageConfig) -> None:
    """Who has no health check cannot become healthy."""
    found = healthcheck.combined(spec, image)
    if found and not found.test:
        raise BadInput(f"the healthcheck of {spec.name} has no test, and its image none", hint="give test")
    if state == "healthy" and healthcheck.effective(spec, image) is None:
        raise BadInput(
            f"{spec.name} is to be healthy but has no health check", hint="give healthcheck, or say state: started"
        )


def over(seen: Observation) -> bool:
    """Whether the container should have been removed at its end, and is still there."""
    return bool(seen.record and seen.record.spec.auto_remove and seen.status == EXITED)


def clear(name: str) -> Step:
    """Remove what is over."""
    return Step("remove", name, "it has ended, and auto_remove is set", Impact.RECREATE, {"volumes": True})
