# SPDX-License-Identifier: GPL-3.0-or-later
"""`exec`: a further process in a container that was created here."""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from typing import Any

from ...core.errors import BadInput, Conflict
from ...linux.capabilities import NUMBER
from .. import console, filters
from .. import exec as executor
from ..report import Report
from ..usher import Visitor
from . import config, listener
from .life import FILTERS, failure, foreground, write_pid
from .store import CREATING, PAUSED, STOPPED, Container, find

LEFT_TO_THE_CONTAINER = ("capabilities", "rlimits", "oomScoreAdj", "execCPUAffinity")


def execute(options: argparse.Namespace) -> int:
    """Run it; its exit code, or 0 at once with `--detach`."""
    container = find(options.root, options.id)
    status = container.status()
    if status in (STOPPED, CREATING) or (status == PAUSED and not options.ignore_paused):
        raise Conflict(f"cannot exec in a container that is {status}: {container.id}")
    process = container.process
    if process is None:
        raise Conflict(f"container not running: {container.id}")
    bundle = container.bundle
    wanted = _process(options, container)
    config.check_process(wanted)
    filter_ = filters.wanted(bundle, filters.place(bundle, os.path.join(options.root, FILTERS)))
    visitor = Visitor(bundle, filter_, wanted)
    visitor.preserved = options.preserve_fds
    ours, visitor.console_fd = _console(options, bool(wanted.get("terminal")))
    begun = executor.begin(visitor, process, partial(listener.hand_over, bundle, container.told(status)))
    if isinstance(begun, Report):
        raise failure(begun)
    if options.pid_file:
        write_pid(options.pid_file, begun)
    return 0 if options.detach else foreground(begun, ours)


def _console(options: argparse.Namespace, terminal: bool) -> tuple[int, int]:
    """Our end when the terminal stays with us, and the end that its master is sent to."""
    if not terminal:
        return -1, -1
    if options.console_socket:
        return -1, console.connect(options.console_socket)
    if options.detach:
        raise Conflict("a terminal has to go somewhere", hint="give --console-socket, or do without --detach")
    return console.pair()


def _process(options: argparse.Namespace, container: Container) -> dict[str, Any]:
    """The process of `--process`, or the container's own with what the arguments say otherwise."""
    own = container.bundle.process
    if options.process:
        with open(options.process, "rb") as handle:
            found: dict[str, Any] = json.loads(handle.read())
        return {**{name: own[name] for name in LEFT_TO_THE_CONTAINER if own.get(name) is not None}, **_given(found)}
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise BadInput("exec: there is nothing to run", hint="give a program and its arguments, or --process")
    process = {**own, "args": command, "terminal": options.tty, "consoleSize": None}
    process["env"] = [*(own.get("env") or ()), *options.env]
    process["cwd"] = options.cwd or own["cwd"]
    process["noNewPrivileges"] = own.get("noNewPrivileges") or options.no_new_privs
    if options.user:
        process["user"] = _user(options.user, own.get("user") or {})
    if options.additional_gids:
        process["user"] = {**process["user"], "additionalGids": options.additional_gids}
    unknown = [name for name in options.cap if name not in NUMBER]
    if unknown:
        raise BadInput(f"--cap: there is no capability {unknown[0]}", hint="see capabilities(7)")
    if options.cap:
        granted = own.get("capabilities") or {}
        more = ("bounding", "effective", "permitted")
        process["capabilities"] = {
            kind: [*names, *options.cap] if kind in more else names for kind, names in granted.items()
        }
    return process


def _given(process: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in process.items() if value is not None}


def _user(text: str, own: dict[str, Any]) -> dict[str, Any]:
    uid, _colon, gid = text.partition(":")
    if not uid.isdigit() or not (gid or "0").isdigit():
        raise BadInput(f"--user: {text!r} is not uid or uid:gid")
    return {**own, "uid": int(uid), "gid": int(gid) if gid else own.get("gid", 0)}
