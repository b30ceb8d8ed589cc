# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities as people write them."""

from __future__ import annotations

import datetime
import re

from .errors import BadInput

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_FACTOR = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_DURATION = re.compile(
    r"(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?(?:([0-9]{1,9})us)?\Z"
)
_NANOSECONDS = (3600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3)
SHORTEST = 10**6  # Docker's bound
_CPUSET = re.compile(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*\Z")
CPU_PERIOD = 100_000  # microseconds; the kernel's and Docker's default
MAX_CPUS = 8192  # the most that Linux is built for
MIN_MEMORY = 6 * 2**20
MAX_SIZE = 2**63 - 1


def parse_size(option: str, text: str) -> int:
    """Bytes of `64M`, `1.5g`, `2GiB`, `1024`; units are powers of 1024. `-1` and `unlimited` are -1."""
    if text.strip().lower() in ("-1", "unlimited"):
        return -1
    match = _SIZE.match(text.strip())
    if not match:
        raise BadInput(f"{option}: {text!r} is not a size", hint="write a number with one of B, K, M, G, T, P: 64M")
    value = int(float(match[1]) * _FACTOR[match[2].lower()])
    if value > MAX_SIZE:
        raise BadInput(f"{option}: {text!r} is more than the kernel can count")
    return value


def parse_extent(option: str, text: str) -> int:
    """Bytes of something that has an end: no `-1`."""
    value = parse_size(option, text)
    if value < 0:
        raise BadInput(f"{option}: {text} is not a size here", hint="write a number with one of B, K, M, G, T, P: 64M")
    return value


def parse_memory(option: str, text: str) -> int:
    """A memory limit in bytes; 0 and -1 mean no limit. Below 6 MiB no process can start (Docker's bound)."""
    value = parse_size(option, text)
    if 0 < value < MIN_MEMORY:
        raise BadInput(f"{option}: {text} is too little for any process", hint="give at least 6M, or 0 for no limit")
    return max(value, 0)


def show_size(value: int) -> str:
    """Bytes as a person reads them: `64M`."""
    for unit in ("P", "T", "G", "M", "K"):
        factor = _FACTOR[unit.lower()]
        if value >= factor and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def parse_duration(option: str, text: str) -> int:
    """Nanoseconds of `1m30s`, `500ms`; `0s` is 0, which stands for the default."""
    match = _DURATION.match(text.strip())
    if not match or not any(match.groups()):
        raise BadInput(f"{option}: {text!r} is not a time", hint="write it with h, m, s, ms and us, as 1m30s")
    value = sum(int(number or 0) * unit for number, unit in zip(match.groups(), _NANOSECONDS))
    if 0 < value < SHORTEST or value >= 2**63:
        raise BadInput(f"{option}: {text} is out of range", hint="give at least 1ms")
    return value


def timestamp(time_ns: int) -> str:
    """A time of a file, in whole seconds, as documents of images have it."""
    moment = datetime.datetime.fromtimestamp(time_ns // 10**9, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def cpu_quota(cpus: float) -> int:
    """Microseconds of CPU time in each period of `CPU_PERIOD`. The kernel takes no less than 1000."""
    if cpus < 0:
        raise BadInput(f"cpus: {cpus} is negative", hint="give a number of CPUs such as 0.5, or 0 for no limit")
    if not cpus <= MAX_CPUS:  # nan is in no order
        raise BadInput(f"cpus: {cpus} is not a number of CPUs", hint="give one such as 0.5, or 0 for no limit")
    quota = round(cpus * CPU_PERIOD)
    if 0 < quota < 1000:
        raise BadInput(f"cpus: {cpus} is too little", hint="give at least 0.01")
    return quota


def parse_cpuset(option: str, text: str) -> str:
    """A list of CPUs or memory nodes as in cpuset(7), of bounded length, in the kernel's own spelling: `0-3,7`."""
    if len(text) > 4096 or not _CPUSET.match(text):
        raise BadInput(f"{option}: {text[:40]!r} is not a list of numbers", hint="write it as 0-3,7")
    numbers: set[int] = set()
    for part in text.split(","):
        first, _dash, last = part.partition("-")
        if last and int(last) < int(first):
            raise BadInput(f"{option}: {part!r} runs backwards", hint="write the smaller number first")
        numbers.update(range(int(first), int(last or first) + 1))
    return _ranges(sorted(numbers))


def _ranges(numbers: list[int]) -> str:
    """`0-3,7` for 0, 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
