# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the command's own errors go: standard error, and the file of `--log`, which engines read."""

from __future__ import annotations

import contextlib
import json
import os
import time

_target = {"path": "", "format": "text"}


def configure(path: str, form: str) -> None:
    """`--log` and `--log-format`."""
    _target.update(path=path, format=form)


def warn(message: str) -> None:
    """Something went wrong that the work does not depend on."""
    _write("warning", message)


def error(message: str) -> None:
    """Why the command failed."""
    _write("error", message)
    if _target["path"]:
        _standard_error(message)


def _write(level: str, message: str) -> None:
    """One entry; without a file on standard error, as it is."""
    if not _target["path"]:
        _standard_error(message)
        return
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if _target["format"] == "json":
        line = json.dumps({"level": level, "msg": message, "time": now})
    else:
        line = f'time="{now}" level={level} msg={json.dumps(message)}'
    with contextlib.suppress(OSError):
        fd = os.open(_target["path"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(fd, line.encode("utf-8", "replace") + b"\n")
        os.close(fd)


def _standard_error(message: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, message.encode("utf-8", "replace") + b"\n")
