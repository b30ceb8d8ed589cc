# SPDX-License-Identifier: GPL-3.0-or-later
"""`auto_remove`: the end of a container that is to leave nothing.

Nobody of ours is there when a container ends but its monitor, which knows nothing of networks and records. So it
starts this, from the copy of the engine that the task has left on the host, as its last deed. What is removed, and
how, is the same as with `state: absent`. Whatever keeps it from happening, the next task for the container makes good.
"""

from __future__ import annotations

import contextlib

from ...core.paths import Paths
from ...core.plan import Plan, Step, apply
from ...linux.cgroups import monitors
from ...linux.cgroups.detect import open_cgroup
from ...linux.files import locked
from .actions import Actions
from .bundle import CGROUP_PARENT
from .ending import is_over
from .record import find
from .waiting import attended


def remove(paths: Paths, container_id: str) -> None:
    """Remove a container, unless it runs again or is to stay, once nobody waits for its output any more."""
    record = find(paths, container_id)
    if record is None:
        return
    with attended(paths, record.name):
        pass
    with locked(paths.lock("container", record.name), f"container {record.name}") as lock:
        record = find(paths, container_id)
        if record is not None and record.spec.auto_remove and is_over(paths, record):
            apply(
                Plan.of([Step("remove", record.name, detail={"volumes": True})]),
                Actions(paths, container_id, lock, {}).table(),
            )
    # We are where the monitors are, who may all be gone by now.
    with contextlib.suppress(OSError):
        monitors.leave()
    open_cgroup(CGROUP_PARENT).remove_if_empty()
