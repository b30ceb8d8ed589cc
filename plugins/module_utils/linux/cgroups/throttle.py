# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast block devices may be read and written: one line a device in the kernel's files, each set by itself.

Kernel: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, and io.max in cgroup-v2.rst.
"""

from __future__ import annotations

import os
from typing import Any, Optional

from ...core.errors import HostLacks, StepFailed
from ..files import write_kernel
from .settings import UNLIMITED, read

# The key of `linux.resources.blockIO`, the option, v1's file and v2's key.
_KINDS = (
    ("throttleReadBpsDevice", "device_read_bps", "blkio.throttle.read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "device_write_bps", "blkio.throttle.write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "device_read_iops", "blkio.throttle.read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "device_write_iops", "blkio.throttle.write_iops_device", "wiops"),
)
Rates = dict[str, dict[str, int]]
"""Option → `major:minor` → rate."""


def rates(resources: dict[str, Any]) -> Rates:
    """What is asked for; options without a rate are there, empty."""
    given = resources.get("blockIO") or {}
    return {
        option: {f"{entry['major']}:{entry['minor']}": int(entry["rate"]) for entry in given.get(key) or ()}
        for key, option, _file, _v2 in _KINDS
    }


def _read_v1(directory: str, file: str) -> dict[str, int]:
    lines = (line.split() for line in (read(directory, file) or "").splitlines())
    return {fields[0]: int(fields[1]) for fields in lines if len(fields) == 2}


def write_v1(directory: Optional[str], wanted: Rates) -> None:
    """Set the rates wanted and take the others away."""
    for _key, option, file, _v2 in _KINDS:
        path = os.path.join(directory or "", file)
        if directory is None or not os.path.exists(path):
            _refuse_without(option, wanted[option])
            continue
        actual = _read_v1(directory, file)
        for device in {**actual, **wanted[option]}:
            rate = wanted[option].get(device, 0)
            if actual.get(device, 0) != rate:
                _write(option, path, f"{device} {rate}")


def drift_v1(directory: Optional[str], wanted: Rates) -> list[str]:
    """What differs, as `device_read_bps: none → 8:0 1048576`."""
    if directory is None:
        return []
    pairs = [(option, _read_v1(directory, file), wanted[option]) for _key, option, file, _v2 in _KINDS]
    return [f"{option}: {_show(actual)} → {_show(asked)}" for option, actual, asked in pairs if actual != asked]


def _read_v2(directory: str) -> Rates:
    """`io.max`: `8:0 rbps=1048576 wbps=max riops=max wiops=max`."""
    found: Rates = {option: {} for _key, option, _file, _v2 in _KINDS}
    for line in (read(directory, "io.max") or "").splitlines():
        device, *parts = line.split()
        values = dict(part.split("=", 1) for part in parts)
        for _key, option, _file, name in _KINDS:
            if values.get(name, UNLIMITED) != UNLIMITED:
                found[option][device] = int(values[name])
    return found


def write_v2(directory: str, wanted: Rates) -> None:
    """Set the rates wanted and take the others away."""
    path = os.path.join(directory, "io.max")
    if not os.path.exists(path):
        for option, asked in wanted.items():
            _refuse_without(option, asked)
        return
    actual = _read_v2(directory)
    for _key, option, _file, name in _KINDS:
        for device in {**actual[option], **wanted[option]}:
            rate = wanted[option].get(device)
            if actual[option].get(device) != rate:
                _write(option, path, f"{device} {name}={rate or UNLIMITED}")


def drift_v2(directory: str, wanted: Rates) -> list[str]:
    """What differs; nothing to say where there is no such file."""
    if read(directory, "io.max") is None:
        return []
    actual = _read_v2(directory)
    return [f"{name}: {_show(actual[name])} → {_show(wanted[name])}" for name in wanted if actual[name] != wanted[name]]


def _show(found: dict[str, int]) -> str:
    return ", ".join(f"{device} {rate}" for device, rate in sorted(found.items())) or "none"


def _refuse_without(option: str, asked: dict[str, int]) -> None:
    if asked:
        raise HostLacks(
            f"cannot set {option}: the host has no cgroup controller that throttles block devices",
            hint=f"leave {option} out, or boot a kernel with CONFIG_BLK_DEV_THROTTLING",
        )


def _write(option: str, path: str, value: str) -> None:
    try:
        write_kernel(path, value)
    except OSError as exc:
        raise StepFailed(
            f"the kernel refuses {option} {value!r} ({path}): {exc.strerror}",
            step="cgroup-limits",
            path=path,
            errno=exc.errno,
        ) from exc
