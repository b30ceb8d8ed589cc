# SPDX-License-Identifier: GPL-3.0-or-later
"""What both versions of cgroups share: values written and compared, directories made and removed.

Limits come in the shape of the OCI runtime specification's `linux.resources` (config-linux.md): `memory.limit`,
`memory.swap` (memory and swap together), `cpu.quota`, `cpu.period`, `cpu.cpus`, `pids.limit`. A missing, zero or
negative value is no limit.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import Any, Callable, NamedTuple

from ...core.errors import HostLacks, StepFailed
from ..files import read_text, write_kernel

UNLIMITED = "max"
PERIOD = 100_000  # microseconds
PAGE = os.sysconf("SC_PAGE_SIZE")
NO_LIMIT = 2**62  # v1 says a number that no machine has
FREEZE_PATIENCE = 30.0


class Setting(NamedTuple):
    """One limit: what people call it, its controller, its file, and the value; `default` is the kernel's own."""

    label: str
    controller: str
    file: str
    value: str
    default: str


def limit(resources: dict[str, Any], group: str, key: str) -> int:
    """A limit as a positive number, 0 for none."""
    value = (resources.get(group) or {}).get(key) or 0
    return max(int(value), 0)


def same(setting: Setting, actual: str) -> bool:
    """Whether the kernel's text means the wanted value: it rounds memory to pages and rewrites lists of CPUs."""
    if setting.controller == "cpuset":
        return not setting.value or cpus(setting.value) == cpus(actual)
    if not setting.value:
        return True  # the host's own choice, whatever that is
    return canonical(setting.value) == canonical(actual)


def canonical(text: str) -> str:
    """One spelling for "no limit" and for sizes that the kernel rounded."""
    parts = []
    for part in text.split():
        number = int(part) if part.lstrip("-").isdigit() else None
        if number is None:
            parts.append(part)
        elif number < 0 or number >= NO_LIMIT:
            parts.append(UNLIMITED)
        else:
            parts.append(str(number - number % PAGE if number > 2**20 else number))
    return " ".join(parts)


def cpus(text: str) -> frozenset[int]:
    """The set behind `0-3,7`."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _dash, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def write(directory: str, setting: Setting) -> None:
    """Write one limit; what the kernel refuses is named with its file and reason."""
    if setting.label == "cpu_shares" and read(directory, "cpu.idle") == "1":
        return  # such a group has no share, and the kernel refuses any number
    path = os.path.join(directory, setting.file)
    try:
        write_kernel(path, setting.value)
    except FileNotFoundError as exc:
        if setting.value.strip() == setting.default:
            return
        raise HostLacks(
            f"cannot set {setting.label}: the host's {setting.controller} controller has no {setting.file}",
            hint=f"leave {setting.label} out, or boot a kernel that has it",
            path=path,
        ) from exc
    except OSError as exc:
        raise StepFailed(
            f"the kernel refuses {setting.label} {setting.value!r} ({path}): {exc.strerror}",
            step="cgroup-limits",
            path=path,
            errno=exc.errno,
        ) from exc


def read(directory: str, file: str) -> str | None:
    """A cgroup file's text; None when it is not there."""
    try:
        return read_text(os.path.join(directory, file))
    except OSError:
        return None


def make(mount: str, path: str, prepare: Callable[[str, str], None] | None) -> None:
    """Create the cgroup `path` below `mount`; `prepare`, if given, is told each parent and child on the way.

    Another process may just then remove a parent that it finds empty: the way is begun again.
    """
    for attempt in range(5):
        directory = mount
        try:
            for part in path.strip("/").split("/"):
                parent, directory = directory, os.path.join(directory, part)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(directory, 0o755)
                if prepare:
                    prepare(parent, directory)
            return
        except FileNotFoundError:
            if attempt == 4:
                raise


def make_inner(directories: list[str]) -> None:
    """Create cgroups below one that is there."""
    for directory in directories:
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o755)


def freeze(ask: Callable[[], None], frozen: Callable[[], bool], wanted: bool) -> None:
    """Ask the kernel until it is done: a process that is just being born, or that sleeps in the kernel, takes time."""
    deadline = time.monotonic() + FREEZE_PATIENCE
    pause = 0.001
    ask()
    while frozen() != wanted:
        if time.monotonic() > deadline:
            raise StepFailed(f"the kernel does not {'freeze' if wanted else 'thaw'} the container", step="freezer")
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
        ask()


def remove(directory: str, timeout: float = 10.0) -> None:
    """Remove a cgroup and those that were made below it.

    The kernel answers EBUSY for a moment after the last process is gone: try again with growing pauses.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        try:
            _remove_below(directory)
            return
        except OSError as exc:
            if exc.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.1)


def remove_empty(directory: str) -> None:
    """Remove a cgroup unless it is in use."""
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def _remove_below(directory: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        try:
            os.rmdir(directory)
        except OSError as exc:
            if exc.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            for found, _directories, _files in os.walk(directory, topdown=False):
                os.rmdir(found)


def processes(directory: str) -> list[int]:
    """The processes in a cgroup and below it; none when it is not there.

    cgroup v2 lists as 0 one that has no pid for the reader: which is in another pid namespace, or has been reaped while
    the list was made (cgroup_procs_show, kernel/cgroup/cgroup.c). To kill(2) that is the caller and its whole group.
    """
    found: list[int] = []
    for where, _directories, _files in os.walk(directory):
        found.extend(int(pid) for pid in (read(where, "cgroup.procs") or "").split() if pid != "0")
    return found
