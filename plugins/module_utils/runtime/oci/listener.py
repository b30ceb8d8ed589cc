# SPDX-License-Identifier: GPL-3.0-or-later
"""Who decides about the calls that a bundle does not: `SCMP_ACT_NOTIFY` (config-linux.md, "Seccomp").

The kernel stops such a call and asks whoever reads the filter's descriptor (seccomp_unotify(2)). The filter is the
process's, the listener somebody whom it cannot reach: we stand between. The process tells the number of the descriptor
and we take a copy (pidfd_getfd(2)), as runc does, so that of all calls only write(2) has to work without a listener.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ...core.errors import BadInput, StepFailed
from ...linux import seccomp
from .. import console
from ..bundle import Bundle
from .options import SPEC_VERSION


def check(asked: Mapping[str, Any]) -> None:
    """Refuse an OCI seccomp object whose process could never ask its listener, or that says nothing of one."""
    notify, path = seccomp.NOTIFY, asked.get("listenerPath") or ""
    if asked.get("listenerMetadata") and not path:
        raise BadInput("linux.seccomp.listenerMetadata is for a listener, and listenerPath is missing")
    if asked.get("defaultAction") == notify:
        raise BadInput(f"{notify} cannot be used as default action", hint="write(2) has to pass without a listener")
    if not seccomp.notifies(asked):
        return
    if not os.path.isabs(path):
        raise BadInput(f"linux.seccomp.listenerPath: {path!r} is not an absolute path, and {notify} needs a listener")
    if any("write" in rule["names"] for rule in asked["syscalls"] if rule["action"] == notify):
        raise BadInput(f"{notify} cannot be used for the write syscall", hint="the listener is found with its help")


def hand_over(bundle: Bundle, state: dict[str, Any], pid: int, fd: int) -> None:
    """Send the listener the filter's descriptor, with the "container process state"; ours is closed."""
    asked = bundle.linux["seccomp"]
    told = {
        "ociVersion": SPEC_VERSION,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": asked.get("listenerMetadata", ""),
        "state": state,
    }
    path = asked["listenerPath"]
    try:
        socket = console.connect(path)
        try:
            console.send(socket, fd, json.dumps(told).encode())
        finally:
            os.close(socket)
    except OSError as exc:
        text = f"failed to connect with seccomp agent: {path}: {exc.strerror or exc}"
        raise StepFailed(text, step="seccomp", errno=exc.errno) from exc
    finally:
        os.close(fd)
