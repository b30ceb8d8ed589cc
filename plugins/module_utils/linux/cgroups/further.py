# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of `linux.resources` that bundles of other engines have and ours do not (config-linux.md)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Union

from ...core.errors import BadInput, HostLacks, StepFailed
from ..files import write_kernel
from .v1 import CgroupV1
from .v2 import CgroupV2

# Each a controller, a file and a value.
Line = tuple[str, str, str]
Cgroup = Union[CgroupV1, CgroupV2]
_KNOWN = {"devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "rdma", "unified"}


def refuse_unknown(resources: dict[str, Any]) -> None:
    """A limit that nobody sets would be none."""
    unknown = sorted(name for name in resources if name not in _KNOWN and resources[name])
    if unknown:
        raise BadInput(f"linux.resources.{unknown[0]} cannot be had here")


def write(cgroup: Cgroup, resources: dict[str, Any]) -> None:
    """Set them; the kernel's refusal names the file."""
    lines = _v2(resources) if isinstance(cgroup, CgroupV2) else _v1(resources)
    for controller, file, value in lines:
        path = _path(cgroup, controller, file)
        try:
            write_kernel(path, value)
        except OSError as exc:
            raise StepFailed(
                f"the kernel refuses {value!r} in {path}: {exc.strerror}",
                step="cgroup-limits",
                path=path,
                errno=exc.errno,
            ) from exc


def _path(cgroup: Cgroup, controller: str, file: str) -> str:
    for directory in cgroup.directories:
        path = os.path.join(directory, file)
        if os.path.exists(path):
            return path
    raise HostLacks(f"cannot set {file}: the host has no {controller} cgroup controller that can do this")


# Keys of `linux.resources.cpu`, with v1's file and v2's. Zero is a value.
_CPU = (("burst", "cpu.cfs_burst_us", "cpu.max.burst"), ("idle", "cpu.idle", "cpu.idle"))
# Group and key of `linux.resources`, and v1's controller and file.
_V1_NUMBERS = (
    ("cpu", "realtimePeriod", "cpu", "cpu.rt_period_us"),
    ("cpu", "realtimeRuntime", "cpu", "cpu.rt_runtime_us"),
    ("memory", "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes"),
    ("network", "classID", "net_cls", "net_cls.classid"),
)


def _v1(resources: dict[str, Any]) -> Iterator[Line]:
    for group, key, controller, file in _V1_NUMBERS:
        value = (resources.get(group) or {}).get(key)
        if value:
            yield controller, file, str(value)
    yield from _cpu(resources, 0)
    for entry in (resources.get("blockIO") or {}).get("weightDevice") or ():
        yield "blkio", "blkio.weight_device", f"{entry['major']}:{entry['minor']} {entry['weight']}"
    for entry in (resources.get("network") or {}).get("priorities") or ():
        yield "net_prio", "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}"
    for entry in resources.get("hugepageLimits") or ():
        yield "hugetlb", f"hugetlb.{entry['pageSize']}.limit_in_bytes", str(entry["limit"])
    yield from _rdma(resources)
    if resources.get("unified"):
        raise BadInput("linux.resources.unified is for cgroup v2, and this host has v1")


def _v2(resources: dict[str, Any]) -> Iterator[Line]:
    yield from _cpu(resources, 1)
    for entry in resources.get("hugepageLimits") or ():
        yield "hugetlb", f"hugetlb.{entry['pageSize']}.max", str(entry["limit"])
    yield from _rdma(resources)
    for file, value in (resources.get("unified") or {}).items():
        if "/" in file or file.startswith("cgroup."):
            raise BadInput(f"linux.resources.unified: {file!r} is not a limit")
        yield file.partition(".")[0], file, value


def _cpu(resources: dict[str, Any], column: int) -> Iterator[Line]:
    for key, *files in _CPU:
        value = (resources.get("cpu") or {}).get(key)
        if value is not None:
            yield "cpu", files[column], str(value)


def _rdma(resources: dict[str, Any]) -> Iterator[Line]:
    for device, limit in (resources.get("rdma") or {}).items():
        handles, objects = limit.get("hcaHandles", "max"), limit.get("hcaObjects", "max")
        yield "rdma", "rdma.max", f"{device} hca_handle={handles} hca_object={objects}"
