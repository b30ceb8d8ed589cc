# SPDX-License-Identifier: GPL-3.0-or-later
"""`env` and `env_file`: the variables themselves are compared, not the name of a file."""

from __future__ import annotations

from typing import Any, Optional

from ..core.errors import BadInput, NotFound
from .options import table

MAX_FILE = 1 << 20


def environment(env: dict[str, Any], file: Optional[str]) -> dict[str, str]:
    """The variables of the file on the managed host, and over them those of the task."""
    found = {**(_parsed(file) if file else {}), **table("env", env)}
    return {name: found[name] for name in sorted(found)}


def _parsed(path: str) -> dict[str, str]:
    """Lines of `NAME=value` as in Docker: no quotes, no expansion; `#` begins a comment, spaces before a name go."""
    found = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name or name != name.strip() or "\0" in text:
            raise BadInput(
                f"env_file: line {number} of {path} is not NAME=value", hint="nothing is taken from the host"
            )
        found[name] = value
    return found


def _read(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            raw = handle.read(MAX_FILE + 1)
    except ValueError as exc:
        raise BadInput(f"env_file: {path!r} is not a path") from exc
    except OSError as exc:
        raise NotFound(f"env_file: {path} cannot be read: {exc.strerror}", path=path, errno=exc.errno) from exc
    if len(raw) > MAX_FILE:
        raise BadInput(f"env_file: {path} is larger than {MAX_FILE} bytes", path=path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadInput(f"env_file: {path} is not UTF-8 text: {exc}", path=path) from exc
