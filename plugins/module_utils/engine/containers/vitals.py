# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running container and its monitor are up to, as the kernel and the monitor's own state tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from ...core.paths import Paths
from ...linux.cgroups.detect import Cgroup
from ...runtime import state
from ...runtime.bundle import CONFIG


@dataclass(frozen=True)
class Vitals:
    """`unwatched`: its monitor is dead. `untold`: its monitor goes by another bundle than the one that is written."""

    unwatched: bool = False
    untold: bool = False
    paused: bool = False


def watched(found: dict[str, Any]) -> bool:
    """Whether the container's monitor lives."""
    monitor = state.process(found, "monitor")
    return monitor is not None and monitor.alive()


def look(paths: Paths, container_id: str, found: dict[str, Any], cgroup: Cgroup) -> Vitals:
    """The vitals of a container that runs; `found` is its state."""
    return Vitals(
        unwatched=not watched(found),
        untold=found.get("bundle") != stamp(paths, container_id),
        paused=cgroup.frozen(),
    )


def stamp(paths: Paths, container_id: str) -> str:
    """Which version of the bundle is written."""
    return state.stamp(os.path.join(paths.container(container_id), CONFIG))
