# SPDX-License-Identifier: GPL-3.0-or-later
"""How a monitor leaves the launcher and becomes a process of its own, and what that does last."""

from __future__ import annotations

import contextlib
import json
import os
from typing import NamedTuple, NoReturn

from ..linux import libc
from ..linux.cgroups.detect import Hierarchies
from . import confine, report
from .bundle import ANNOTATION_AFTERWARDS, Bundle
from .filters import Filter
from .monitor import Monitor


class Charge(NamedTuple):
    """What a monitor is to watch, and what of it must be in memory: its files may be replaced while it runs."""

    bundle: Bundle
    filter: Filter | None
    groups: Hierarchies


def fork(charge: Charge, door: str, hold: list[int], mounts: int, *, adopt: bool = False) -> int:
    """Fork a monitor; the descriptor returned reads its report, empty when the container runs.

    The monitor keeps the descriptors `hold` open until then, and `mounts`, the host's mount namespace, for its life.
    With `adopt` the container runs already.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        return read_end
    _main(charge, door, [write_end, mounts, *hold], adopt=adopt)


def _main(charge: Charge, door: str, fds: list[int], *, adopt: bool) -> NoReturn:
    report_fd = fds[0]
    code = 1
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        report_fd, mounts, *held = confine.keep_only(fds)
        monitor = Monitor(*charge, mounts)
        failed = monitor.adopt() if adopt else monitor.start()
        if not failed:
            monitor.open_door(door)
        else:
            os.write(report_fd, "\0".join(map(str, failed)).encode("utf-8", "surrogateescape"))
        for fd in (report_fd, *held):
            os.close(fd)
        if not failed:
            monitor.watch()
            _afterwards(monitor.bundle, mounts)
        code = 0
    except BaseException as exc:
        with contextlib.suppress(OSError):
            report.send(report_fd, "monitor", exc)
    finally:
        os._exit(code)


def _afterwards(bundle: Bundle, mounts: int) -> None:
    """Start the command that the bundle's author wants to be run when the container has ended, where the host is."""
    command = json.loads(bundle.text(ANNOTATION_AFTERWARDS) or "[]")
    if command and os.fork() == 0:
        libc.setns(mounts, libc.CLONE_NEWNS)
        os.execve(command[0], command, dict(os.environ))
