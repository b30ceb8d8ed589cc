# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--mount` of RUN says. Pure.

Source: buildkit, frontend/dockerfile/instructions/commands_runmount.go.
"""

from __future__ import annotations

import posixpath
import re
from typing import Callable

from ...core.errors import BadInput
from ...core.specs.image import ImageConfig
from ...core.units import parse_extent
from .works import CONTEXT, Origin, RunMount

_KINDS = {
    "bind": ("rw", "readwrite", "ro", "readonly"),
    "cache": ("id", "sharing", "mode", "uid", "gid", "ro", "readonly"),
    "tmpfs": ("size",),
    "secret": ("id", "required", "mode", "uid", "gid"),
}
_COMMON = {"target": "target", "dst": "target", "destination": "target", "source": "source", "src": "source"}
_MODE = re.compile(r"[0-7]{1,4}\Z")
_SHARING = ("shared", "private", "locked")


def run_mount(text: str, config: ImageConfig, origin: Callable[[str], Origin]) -> RunMount:
    """`type=cache,target=/root/.cache`. Relative targets are below the working directory."""
    fields = [field.strip().partition("=") for field in text.split(",")]
    given = {_COMMON.get(name.lower(), name.lower()): value if equals else "true" for name, equals, value in fields}
    kind = given.pop("type", "bind")
    if kind not in _KINDS:
        why = "there is no agent to forward" if kind == "ssh" else f"it is none of {', '.join(_KINDS)}"
        raise BadInput(f"--mount=type={kind}: {why}")
    target, source, taken = given.pop("target", ""), given.pop("source", ""), given.pop("from", "")
    _check(kind, given, source, taken)
    if kind == "secret":
        target = target or f"/run/secrets/{given.setdefault('id', posixpath.basename(source))}"
    if not target:
        raise BadInput(f"--mount=type={kind} has no target", hint="add target=PATH")
    path = "/" + posixpath.normpath(posixpath.join("/", config.working_dir, target)).strip("/")
    if path == "/":
        raise BadInput(f"--mount=type={kind}: the root itself cannot be the target")
    return RunMount(kind, path, source, origin(taken) if taken else CONTEXT, given)


def _check(kind: str, given: dict[str, str], source: str, taken: str) -> None:
    if "env" in given:
        raise BadInput("--mount=type=secret,env=…: variables are written down, secrets are not", hint="read the file")
    for name, value in given.items():
        if name not in _KINDS[kind]:
            raise BadInput(f"--mount=type={kind} has no option {name}")
        if name in ("uid", "gid") and not value.isdigit():
            raise BadInput(f"--mount: {name}={value} is not a number")
        if name == "mode" and not _MODE.match(value):
            raise BadInput(f"--mount: mode={value} is not a mode", hint="write it in octal, as 0400")
    if kind != "bind" and (taken or (source and kind != "secret")):
        raise BadInput(f"--mount=type={kind} takes nothing from elsewhere", hint="leave from and source out")
    if given.get("sharing", "shared") not in _SHARING:
        raise BadInput(f"--mount: sharing={given['sharing']} is none of {', '.join(_SHARING)}")
    if "size" in given:
        parse_extent("--mount: size", given["size"])
