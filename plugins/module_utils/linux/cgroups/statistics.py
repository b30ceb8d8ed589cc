# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cgroup has used, in the words of Docker's API (`GET /containers/{id}/stats`), from either version of cgroups.

Times are nanoseconds, sizes bytes. A number that the kernel does not keep is left out, and nothing is made up for it.
Kernel: admin-guide/cgroup-v1/{memory,cpuacct,blkio-controller,pids}.rst, admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional, Union

from .settings import NO_LIMIT
from .v1 import CgroupV1
from .v2 import CgroupV2

Cgroup = Union[CgroupV1, CgroupV2]
Numbers = dict[str, int]


def of_cgroup(cgroup: Cgroup) -> dict[str, Any]:
    """`cpu_stats`, `memory_stats`, `pids_stats` and `blkio_stats`."""
    first = isinstance(cgroup, CgroupV1)
    return {
        "cpu_stats": _cpu_v1(cgroup) if first else _cpu_v2(cgroup),
        "memory_stats": _memory_v1(cgroup) if first else _memory_v2(cgroup),
        "pids_stats": _pids(cgroup),
        "blkio_stats": _io_v1(cgroup) if first else _io_v2(cgroup),
    }


def _cpu_v1(cgroup: Cgroup) -> dict[str, Any]:
    usage = {
        "total_usage": _number(cgroup, "cpuacct", "cpuacct.usage"),
        "usage_in_usermode": _number(cgroup, "cpuacct", "cpuacct.usage_user"),
        "usage_in_kernelmode": _number(cgroup, "cpuacct", "cpuacct.usage_sys"),
    }
    each = (cgroup.read("cpuacct", "cpuacct.usage_percpu") or "").split()
    throttling = _table(cgroup, "cpu", "cpu.stat")
    return {
        "cpu_usage": {**_known(usage), **({"percpu_usage": [int(item) for item in each]} if each else {})},
        "throttling_data": _throttling(throttling, throttling.get("throttled_time")),
    }


def _cpu_v2(cgroup: Cgroup) -> dict[str, Any]:
    found = {
        name: value * 1000 if name.endswith("_usec") else value
        for name, value in _table(cgroup, "cpu", "cpu.stat").items()
    }
    usage = {
        "total_usage": found.get("usage_usec"),
        "usage_in_usermode": found.get("user_usec"),
        "usage_in_kernelmode": found.get("system_usec"),
    }
    return {"cpu_usage": _known(usage), "throttling_data": _throttling(found, found.get("throttled_usec"))}


def _throttling(found: Numbers, time: Optional[int]) -> Numbers:
    data = {"periods": found.get("nr_periods"), "throttled_periods": found.get("nr_throttled"), "throttled_time": time}
    return _known(data)


def _memory_v1(cgroup: Cgroup) -> dict[str, Any]:
    stats = _table(cgroup, "memory", "memory.stat")
    found = {
        "usage": _number(cgroup, "memory", "memory.usage_in_bytes"),
        "max_usage": _number(cgroup, "memory", "memory.max_usage_in_bytes"),
        "limit": _number(cgroup, "memory", "memory.limit_in_bytes"),
        "failcnt": _number(cgroup, "memory", "memory.failcnt"),
        "cache": stats.get("total_cache", stats.get("cache")),
        "oom_kill": _table(cgroup, "memory", "memory.oom_control").get("oom_kill"),
    }
    return {**_known(found), "stats": stats}


def _memory_v2(cgroup: Cgroup) -> dict[str, Any]:
    stats = _table(cgroup, "memory", "memory.stat")
    events = _table(cgroup, "memory", "memory.events")
    found = {
        "usage": _number(cgroup, "memory", "memory.current"),
        "max_usage": _number(cgroup, "memory", "memory.peak"),
        "limit": _number(cgroup, "memory", "memory.max"),
        "failcnt": events.get("max"),
        "cache": stats.get("file"),
        "oom_kill": events.get("oom_kill"),
    }
    return {**_known(found), "stats": stats}


def _pids(cgroup: Cgroup) -> Numbers:
    """The files are the same in both versions. A limit of 0 is none, as in Docker's options."""
    current, limit = _number(cgroup, "pids", "pids.current"), cgroup.read("pids", "pids.max")
    return _known({"current": current, "limit": int(limit) if limit and limit.isdigit() else limit and 0})


def _io_v1(cgroup: Cgroup) -> dict[str, Any]:
    files = {
        "io_service_bytes_recursive": "blkio.throttle.io_service_bytes_recursive",
        "io_serviced_recursive": "blkio.throttle.io_serviced_recursive",
    }
    return {key: list(_operations(cgroup.read("blkio", file) or "")) for key, file in files.items()}


def _operations(text: str) -> Iterator[dict[str, Any]]:
    """`254:0 Read 4096`; the last line is a total."""
    for line in text.splitlines():
        device, *rest = line.split()
        if len(rest) == 2:
            yield _operation(device, rest[0].lower(), int(rest[1]))


_OPERATIONS = {
    "io_service_bytes_recursive": {"rbytes": "read", "wbytes": "write", "dbytes": "discard"},
    "io_serviced_recursive": {"rios": "read", "wios": "write", "dios": "discard"},
}


def _io_v2(cgroup: Cgroup) -> dict[str, Any]:
    """`254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`, a line each device."""
    found: dict[str, Any] = {key: [] for key in _OPERATIONS}
    for line in (cgroup.read("io", "io.stat") or "").splitlines():
        device, *pairs = line.split()
        counts = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        for key, names in _OPERATIONS.items():
            found[key] += [_operation(device, names[name], int(counts[name])) for name in names if name in counts]
    return found


def _operation(device: str, name: str, value: int) -> dict[str, Any]:
    major, minor = device.split(":")
    return {"major": int(major), "minor": int(minor), "op": name, "value": value}


def _number(cgroup: Cgroup, controller: str, file: str) -> Optional[int]:
    """A file of one number; None for "no limit" and for a file that is not there."""
    text = cgroup.read(controller, file) or ""
    return int(text) if text.isdigit() and int(text) < NO_LIMIT else None


def _table(cgroup: Cgroup, controller: str, file: str) -> Numbers:
    """A file of lines `name number`."""
    pairs = (line.split() for line in (cgroup.read(controller, file) or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _known(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
