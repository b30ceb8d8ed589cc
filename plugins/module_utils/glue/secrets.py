# SPDX-License-Identifier: GPL-3.0-or-later
"""`secrets`: what each is, which goes into the specification, and its content, which goes nowhere else."""

from __future__ import annotations

import os
import re
from typing import Any, Union

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.container import Secret

DIRECTORY = "/run/secrets"
SECRET_OPTIONS: dict[str, Any] = {
    "source": {"type": "str", "required": True, "aliases": ["name"]},
    "content": {"type": "str", "no_log": True},
    "src": {"type": "path"},
    "target": {"type": "str"},
    "uid": {"type": "int", "default": 0},
    "gid": {"type": "int", "default": 0},
    "mode": {"type": "raw", "default": "0444"},
}
_OCTAL = re.compile(r"(0o)?[0-7]{1,4}\Z")
MAX_ID = 2**32 - 2


def secrets(value: list[dict[str, Any]]) -> tuple[Secret, ...]:
    """The secrets in order of their names, without what is secret of them."""
    found = sorted((_secret(entry) for entry in value), key=lambda secret: secret.name)
    for attribute in ("name", "target"):
        given = [getattr(secret, attribute) for secret in found]
        twice = next((text for text in given if given.count(text) > 1), None)
        if twice:
            raise BadInput(f"secrets: {twice} is named twice", hint="name it once")
    return tuple(found)


def contents(value: list[dict[str, Any]]) -> dict[str, bytes]:
    """The contents that the task itself has, by name."""
    return {entry["source"]: entry["content"].encode() for entry in value if entry.get("content") is not None}


def _secret(entry: dict[str, Any]) -> Secret:
    name = check_name("secret", entry["source"])
    src = entry.get("src") or ""
    if (entry.get("content") is None) == (not src):
        raise BadInput(f"secrets: {name} needs either content or src")
    if src and not src.startswith("/"):
        raise BadInput(f"secrets: the src of {name} is not an absolute path on the managed host")
    return Secret(
        name=name,
        target=_target(name, entry.get("target") or name),
        src=os.path.normpath(src) if src else "",
        uid=_id(name, entry.get("uid") or 0),
        gid=_id(name, entry.get("gid") or 0),
        mode=parse_mode(f"secrets: the mode of {name}", entry.get("mode", "0444")),
    )


def _target(name: str, text: str) -> str:
    """A path, or a name in /run/secrets."""
    path = os.path.normpath(os.path.join(DIRECTORY, text))
    if "\0" in text or ".." in text.split("/") or path in ("/", DIRECTORY):
        raise BadInput(f"secrets: the target of {name} is {text!r}, which is no place for a file")
    return "/" + path.lstrip("/")


def _id(name: str, value: int) -> int:
    if not 0 <= value <= MAX_ID:
        raise BadInput(f"secrets: the owner of {name} cannot be {value}", hint=f"give 0 to {MAX_ID}")
    return value


def parse_mode(option: str, value: Union[str, int]) -> int:
    """A number, as YAML reads `0644`, or octal digits in quotes."""
    if isinstance(value, str) and _OCTAL.match(value):
        value = int(value, 8)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o7777:
        raise BadInput(f"{option}: {value!r} is not a mode", hint="write it as '0644'")
    return value
