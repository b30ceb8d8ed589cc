# SPDX-License-Identifier: GPL-3.0-or-later
"""`pause`, `resume` and `update`: what can be changed of a container that runs."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ...core.errors import BadInput, Conflict
from ...linux.cgroups import further
from ...linux.files import write_atomic
from .. import report
from .config import without_nulls
from .store import CONFIG, CREATED, PAUSED, RUNNING, STOPPED, Container, find

# Option of `update` → where its value goes in linux.resources.
FIELDS = {
    "blkio_weight": ("blockIO", "weight"),
    "cpu_period": ("cpu", "period"),
    "cpu_quota": ("cpu", "quota"),
    "cpu_rt_period": ("cpu", "realtimePeriod"),
    "cpu_rt_runtime": ("cpu", "realtimeRuntime"),
    "cpu_share": ("cpu", "shares"),
    "cpuset_cpus": ("cpu", "cpus"),
    "cpuset_mems": ("cpu", "mems"),
    "memory": ("memory", "limit"),
    "memory_reservation": ("memory", "reservation"),
    "memory_swap": ("memory", "swap"),
    "pids_limit": ("pids", "limit"),
}


def pause(options: argparse.Namespace) -> None:
    """Stop every process where it is."""
    _change(find(options.root, options.id), (RUNNING, CREATED), wanted=True)


def resume(options: argparse.Namespace) -> None:
    """Let them go on."""
    _change(find(options.root, options.id), (PAUSED,), wanted=False)


def _change(container: Container, allowed: tuple[str, ...], *, wanted: bool) -> None:
    status = container.status()
    if status not in allowed:
        raise Conflict(f"cannot {'pause' if wanted else 'resume'} a container that is {status}: {container.id}")
    container.cgroup.freeze(frozen=wanted)


def update(options: argparse.Namespace) -> None:
    """Change limits; those that are not named stay."""
    container = find(options.root, options.id)
    if container.status() == STOPPED:
        raise Conflict(f"cannot update a container that is {STOPPED}: {container.id}")
    bundle = container.bundle
    given = _resources(options)
    further.refuse_unknown(given)
    _lift_swap(given.get("memory"))
    for group, value in given.items():
        before = bundle.resources.get(group)
        bundle.resources[group] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    cgroup = container.cgroup
    cgroup.update(bundle.resources)
    further.write(cgroup, bundle.resources)
    write_atomic(container.path(CONFIG), json.dumps(bundle.config).encode())


def _lift_swap(memory: Any) -> None:
    """Without a limit of memory there is none of memory and swap together, unless somebody says so."""
    if isinstance(memory, dict) and memory.get("limit", 0) < 0:
        memory.setdefault("swap", -1)


def _resources(options: argparse.Namespace) -> dict[str, Any]:
    if options.resources:
        fd = 0 if options.resources == "-" else os.open(options.resources, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = json.loads(report.read_all(fd), object_hook=without_nulls)
        except ValueError as exc:
            raise BadInput(f"--resources: {options.resources} is not JSON: {exc}") from exc
        return {group: value for group, value in found.items() if value and group != "devices"}
    given: dict[str, Any] = {}
    for option, (group, key) in FIELDS.items():
        value = getattr(options, option)
        if value is not None:
            given.setdefault(group, {})[key] = value
    return given
