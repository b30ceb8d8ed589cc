# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_container_exec`."""

from __future__ import annotations

import os
from typing import Any, Optional

from ..core.errors import BadInput
from ..engine.containers.execute import Talk
from .options import directory, table, words


def process_overrides(params: dict[str, Any]) -> dict[str, Optional[Any]]:
    """The options of `mini_container_exec` that replace those of the container's own process."""
    option = "command" if params.get("argv") is None else "argv"
    args = list(words(option, params[option]))
    if not args:
        raise BadInput(f"{option}: there is nothing to run", hint="give a program and its arguments")
    return {
        "args": args,
        "user": params.get("user"),
        "cwd": directory("chdir", params["chdir"]) if params.get("chdir") else None,
        "env": table("env", params.get("env") or {}),
        "talk": Talk(_stdin(params), bool(params.get("tty")), bool(params.get("detach"))),
    }


def _stdin(params: dict[str, Any]) -> Optional[bytes]:
    if params.get("stdin") is None:
        return None
    if params.get("detach"):
        raise BadInput("stdin: nobody is there to be read from with detach", hint="leave one of them out")
    newline = b"\n" if params.get("stdin_add_newline", True) else b""
    return os.fsencode(params["stdin"]) + newline
