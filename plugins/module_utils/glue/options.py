# SPDX-License-Identifier: GPL-3.0-or-later
"""Canonicalisers that images and containers share: one an option, wherever the option is found."""

from __future__ import annotations

import shlex
from typing import Any

from ..core.errors import BadInput


def words(option: str, value: Any) -> tuple[str, ...]:
    """A command as a list; a string is split as a shell would, without running one."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as exc:
            raise BadInput(f"{option}: {value!r} cannot be split into words: {exc}", hint="give a list") from exc
    if not isinstance(value, list):
        raise BadInput(f"{option}: {value!r} is neither a string nor a list")
    return tuple(text(option, item) for item in value)


def text(option: str, value: Any) -> str:
    """A scalar; `yes` and `null` are refused: what text YAML meant by them is anybody's guess."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or "\0" in str(value):
        raise BadInput(f"{option}: {value!r} is not a text", hint="put it in quotes")
    return str(value)


def table(option: str, value: dict[str, Any]) -> dict[str, str]:
    """Variables or labels, in the order of their names."""
    for name in value:
        if not name or "\0" in name or (option == "env" and "=" in name):
            raise BadInput(f"{option}: {name!r} is not a name")
    return {name: text(f"{option}: {name}", value[name]) for name in sorted(value)}


def directory(option: str, value: str) -> str:
    """An absolute path in the container."""
    if not value.startswith("/"):
        raise BadInput(f"{option}: {value!r} is not an absolute path", hint="begin it with /")
    return value
