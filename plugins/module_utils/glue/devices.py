# SPDX-License-Identifier: GPL-3.0-or-later
"""`devices`, `device_cgroup_rules` and `cgroup_parent` in canonical form."""

from __future__ import annotations

import os
import re

from ..core.errors import BadInput
from ..core.specs.container import Device

_RULE = re.compile(r"([abc]) ([0-9]{1,10}|\*):([0-9]{1,10}|\*) ([rwm]{1,3})\Z")
_PARENT = re.compile(r"(/[A-Za-z0-9_.:@-]+)+\Z")


def devices(value: list[str]) -> tuple[Device, ...]:
    """`/dev/x`, `/dev/x:/dev/y`, `/dev/x:/dev/y:rwm`; each place in the container once."""
    found = sorted(map(_device, value))
    for first, second in zip(found, found[1:]):
        if first.path == second.path:
            raise BadInput(f"devices: {first.path} is named twice", hint="name each place in the container once")
    return tuple(found)


def _device(text: str) -> Device:
    source, _colon, rest = text.partition(":")
    path, _colon, access = rest.partition(":")
    if path and not path.startswith("/") and not access:
        path, access = "", path
    for part in (source, path or source):
        if not part.startswith("/") or os.path.normpath(part) != part.rstrip("/") or "\0" in part:
            raise BadInput(f"devices: {text!r} is not a device", hint="write it as /dev/x, or /dev/x:/dev/y:rwm")
    if not set(access) <= set("rwm") or len(set(access)) != len(access):
        raise BadInput(f"devices: {text!r} has the access {access!r}", hint="give some of r, w and m")
    return Device((path or source).rstrip("/"), source.rstrip("/"), _sorted(access or "rwm"))


def rules(value: list[str]) -> tuple[str, ...]:
    """`c 42:* rwm`, in the task's order."""
    found = []
    for text in value:
        match = _RULE.match(text.strip())
        if match is None or len(set(match[4])) != len(match[4]):
            raise BadInput(f"device_cgroup_rules: {text!r} is not a rule", hint="write it as 'c 42:* rwm'")
        found.append(f"{match[1]} {match[2]}:{match[3]} {_sorted(match[4])}")
    return tuple(found)


def _sorted(access: str) -> str:
    return "".join(letter for letter in "rwm" if letter in access)


def cgroup_parent(value: str) -> str:
    """The cgroup below which the container's is made: a path from the root of each hierarchy."""
    text = "/" + value.strip("/")
    if text in ("/", "/mini"):
        return ""
    if not _PARENT.match(text) or any(part in (".", "..") for part in text.split("/")) or len(text) > 200:
        raise BadInput(f"cgroup_parent: {value!r} is not the path of a cgroup", hint="write it as /services/web")
    return text
