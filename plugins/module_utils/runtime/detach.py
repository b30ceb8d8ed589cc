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
from .door import Serve
from .filters import Filter
from .monitor import Monitor


class Charge(NamedTuple):
    """What a monitor is to watch, and what of it must be in memory: its files may be replaced while it runs."""

    bundle: Bundle
    filter: Filter | None
    groups: Hierarchies


class Way(NamedTuple):
    """What all monitors of one request are told. See `main.py` for the fields.

    A monitor keeps the descriptors `hold` open until its container runs, and `mounts` for its life. With `adopt` the
    container runs already. `serve` is what is done for those who come to its door.
    """

    hold: list[int]
    mounts: int
    adopt: bool
    door: str
    front: str
    serve: Serve


def fork(charge: Charge, way: Way) -> int:
    """Fork a monitor; the descriptor returned reads its report, empty when the container runs."""
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        return read_end
    _main(charge, way, write_end)


def _main(charge: Charge, way: Way, report_fd: int) -> NoReturn:
    code = 1
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        report_fd, mounts, *held = confine.keep_only([report_fd, way.mounts, *way.hold])
        monitor = Monitor(*charge, mounts)
        failed = monitor.adopt() if way.adopt else monitor.start()
        if not failed:
            monitor.open_door(way.door, way.front, way.serve)
        else:
            os.write(report_fd, "\0".join(map(str, failed)).encode("utf-8", "surrogateescape"))
        for fd in (report_fd, *held):
            os.close(fd)
        if not failed:
            monitor.watch()
            monitor.door.close()
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
