# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may use: the options that become its cgroup's limits, each checked by the kernel's own bounds."""

from __future__ import annotations

from typing import Any, Callable

from ..core.errors import BadInput
from ..core.units import cpu_quota, parse_cpuset, parse_extent, parse_memory, parse_size

# microseconds; kernel: Documentation/scheduler/sched-bwc.rst
_PERIODS = (1_000, 1_000_000)
_WEIGHTS = (10, 1000)


def limits(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Limits` that the task gives, and nothing that contradicts itself."""
    _refuse_contradictions(given)
    found = {field: read(given[option]) for option, field, read in LIMITS if option in given}
    if "cpus" in given:
        found["cpu_period"] = 0
    if 0 < found.get("memory_swap", 0) < found.get("memory", 0):
        raise BadInput(
            f"memory_swap: {given['memory_swap']} is less than memory ({given['memory']}), which is a part of it",
            hint="give at least as much, or -1 for no limit",
        )
    return found


def _refuse_contradictions(given: dict[str, Any]) -> None:
    for other in ("cpu_quota", "cpu_period"):
        if "cpus" in given and other in given:
            raise BadInput(f"cpus and {other} set the same limit", hint="give cpus, or cpu_quota and cpu_period")


def count(value: int) -> int:
    """A number; -1 and 0 are no limit, as in Docker."""
    return max(value, 0)


def within(option: str, low: int, high: int, *, zero: bool = True) -> Callable[[int], int]:
    """A reader of numbers between two bounds, and with `zero` of 0, which is no limit."""

    def read(value: int) -> int:
        if not (low <= value <= high or (zero and value == 0)):
            raise BadInput(
                f"{option}: {value} is out of range",
                hint=f"give {low} to {high}" + (", or 0" if zero and low > 0 else ""),
            )
        return value

    return read


def quota(value: int) -> int:
    """Microseconds of CPU time in each period; -1 and 0 are no limit."""
    if 0 < value < _PERIODS[0]:
        raise BadInput(f"cpu_quota: {value} is too little", hint=f"give at least {_PERIODS[0]} microseconds, or 0")
    return max(value, 0)


def rates(option: str) -> Callable[[list[dict[str, Any]]], dict[str, int]]:
    """A reader of `[{path, rate}]`; a rate of bytes may have a unit."""

    def read(value: list[dict[str, Any]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in value:
            path = entry["path"]
            if not path.startswith("/") or path in found:
                why = "is named twice" if path in found else "is not an absolute path"
                raise BadInput(f"{option}: {path!r} {why}", hint="name each block device once, as /dev/sda")
            found[path] = _rate(option, entry["rate"])
        return found

    return read


def _rate(option: str, value: Any) -> int:
    text = str(value)
    if option.endswith("iops") and not (text.isascii() and text.isdigit()):
        raise BadInput(f"{option}: {text!r} is not a number of operations a second")
    rate = parse_extent(option, text)
    if rate < 1:
        raise BadInput(f"{option}: a rate of {text} would stop the container for good", hint="leave the device out")
    return rate


# The option of the task, the field of `Limits`, and the way from one to the other.
LIMITS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("memory", "memory", lambda value: parse_memory("memory", value)),
    ("memory_swap", "memory_swap", lambda value: parse_size("memory_swap", value)),
    ("memory_reservation", "memory_reservation", lambda value: parse_memory("memory_reservation", value)),
    ("memory_swappiness", "memory_swappiness", within("memory_swappiness", -1, 100)),
    ("oom_killer", "oom_kill_disable", bool),
    ("cpus", "cpu_quota", cpu_quota),
    ("cpu_period", "cpu_period", within("cpu_period", *_PERIODS)),
    ("cpu_quota", "cpu_quota", quota),
    ("cpu_shares", "cpu_shares", count),
    ("cpuset_mems", "cpuset_mems", lambda value: parse_cpuset("cpuset_mems", value)),
    ("cpuset_cpus", "cpuset_cpus", lambda value: parse_cpuset("cpuset_cpus", value)),
    ("pids_limit", "pids_limit", count),
    ("blkio_weight", "blkio_weight", within("blkio_weight", *_WEIGHTS)),
    *(
        (option, option, rates(option))
        for option in ("device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops")
    ),
)
