# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running container uses, as `docker stats --no-stream` is told it. Reads only, and all of it of the kernel."""

from __future__ import annotations

import os
from typing import Any, Optional

from ...core.paths import Paths
from ...linux.cgroups.detect import open_cgroup
from ...linux.cgroups.statistics import of_cgroup
from ...linux.files import read_text
from ...runtime import state
from .bundle import cgroup_path
from .living import live_process
from .record import ContainerRecord

_COUNTERS = ("bytes", "packets", "errors", "dropped")
_TICK = 10**9 // os.sysconf("SC_CLK_TCK")


def stats(paths: Paths, record: ContainerRecord) -> Optional[dict[str, Any]]:
    """The statistics of a container; None when it does not run."""
    init = live_process(state.read(paths.run_state(record.id)))
    if init is None:
        return None
    found = of_cgroup(open_cgroup(cgroup_path(record.id, record.spec.cgroup_parent)))
    found["cpu_stats"].update(host_cpu(read_text("/proc/stat")))
    # Without a limit of its own it may have what the host has, as Docker says.
    found["memory_stats"].setdefault("limit", host_memory(read_text("/proc/meminfo")))
    try:
        found["networks"] = interfaces(read_text(f"/proc/{init.pid}/net/dev"))
    except OSError:
        return None
    if not init.alive():
        return None
    return {"id": record.id, "name": f"/{record.name}", "read": state.now(), **found}


def host_cpu(text: str) -> dict[str, int]:
    """/proc/stat: the time that all CPUs have spent, in nanoseconds, and how many there are."""
    lines = [line.split() for line in text.splitlines() if line.startswith("cpu")]
    # user, nice, system, idle, iowait, irq, softirq, steal: what comes after is counted in them already (proc_stat(5))
    return {
        "system_cpu_usage": sum(int(ticks) for ticks in lines[0][1:9]) * _TICK,
        "online_cpus": len(lines) - 1,
    }


def host_memory(text: str) -> int:
    """/proc/meminfo: all memory of the host, in bytes."""
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("MemTotal:"))


def interfaces(text: str) -> dict[str, dict[str, int]]:
    """/proc/PID/net/dev: what went through each interface but the loopback one."""
    found = {}
    for line in text.splitlines()[2:]:
        name, _colon, numbers = line.partition(":")
        counts = [int(number) for number in numbers.split()]
        received = {f"rx_{key}": value for key, value in zip(_COUNTERS, counts)}
        sent = {f"tx_{key}": value for key, value in zip(_COUNTERS, counts[8:])}
        found[name.strip()] = {**received, **sent}
    found.pop("lo", None)
    return found
