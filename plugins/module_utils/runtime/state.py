# SPDX-License-Identifier: GPL-3.0-or-later
"""`state.json`: what the monitor says of its container. It lives below /run, so a reboot forgets it."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ..linux.files import make_private_dir, write_atomic
from ..linux.process import Process, identify

CREATED = "created"
RUNNING = "running"
RESTARTING = "restarting"
EXITED = "exited"


def now() -> str:
    """The time as Docker writes it: RFC 3339 with nanoseconds, in UTC."""
    nanoseconds = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(nanoseconds // 10**9))}.{nanoseconds % 10**9:09d}Z"


def write(path: str, state: dict[str, Any], *, durable: bool = False) -> None:
    """Replace the state file; only what is kept elsewhere than below /run has to survive a power cut."""
    make_private_dir(os.path.dirname(path))
    write_atomic(path, json.dumps(state).encode(), durable=durable)


def read(path: str) -> dict[str, Any]:
    """The state, empty when there is none or when it is unreadable: the kernel is asked then."""
    try:
        with open(path, "rb") as handle:
            state = json.loads(handle.read())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def stamp(path: str) -> str:
    """Which version of a file that is only ever replaced this is; empty when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_ino}.{found.st_mtime_ns}"


def describe(pid: int) -> dict[str, Any]:
    """A process as it is written into the state."""
    process = identify(pid)
    return process._asdict() if process else {}


def process(state: dict[str, Any], key: str = "init") -> Process | None:
    """The process that the state names under `key` (`init`, `monitor`), running or not."""
    found = state.get(key)
    try:
        return Process(str(found["boot_id"]), int(found["pid"]), int(found["start_time"])) if found else None
    except (KeyError, TypeError, ValueError):
        return None
