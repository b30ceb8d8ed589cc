# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_image` as a canonical `ImageSpec`, one canonicaliser an option."""

from __future__ import annotations

import os
import re
from typing import Any, Callable

from ..core.errors import BadInput
from ..engine.images.spec import ImageSpec
from ..image.reference import parse
from .options import table, text, words

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?\Z")
_SIGNAL = re.compile(r"(?:SIG)?[A-Z0-9+-]{2,12}\Z|\d{1,2}\Z")


def image_spec(params: dict[str, Any]) -> ImageSpec:
    """The specification behind a task's parameters. `BadInput` names the first option that makes no sense."""
    reference = parse(params["name"], params.get("tag"))
    if reference.digest:
        raise BadInput(
            f"name: {params['name']!r} has a digest, which the content decides", hint="give a name and a tag"
        )
    given = {option: params[option] for option, _read in CONFIG if params.get(option) is not None}
    return ImageSpec(
        reference=reference,
        src=_path("src", params.get("src")),
        from_container=params.get("from_container") or "",
        archive_path=_path("archive_path", params.get("archive_path")),
        config={option: read(given[option]) for option, read in CONFIG if option in given},
    )


def ports(value: list[Any]) -> tuple[str, ...]:
    """`80`, `53/udp`, `8000-8003`: each port with its protocol, in order."""
    found: set[tuple[int, str]] = set()
    for item in value:
        match = _PORT.match(str(item))
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not match or not 0 < first <= last < 65536:
            raise BadInput(f"exposed_ports: {item!r} is not a port", hint="write it as 80, 53/udp or 8000-8003")
        found.update((port, match[3] or "tcp") for port in range(first, last + 1))
    return tuple(f"{port}/{protocol}" for port, protocol in sorted(found))


def directories(value: list[str]) -> tuple[str, ...]:
    """Absolute paths inside the image, without `..`, in order."""
    return tuple(sorted({_absolute("volumes", item) for item in value}))


def _absolute(option: str, value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise BadInput(f"{option}: {value!r} is not a path from the root of the image", hint="begin it with /")
    path = "/" + os.path.normpath(value).strip("/")
    if option == "volumes" and path == "/":
        raise BadInput("volumes: the root itself cannot be a volume")
    return path


def _path(option: str, value: Any) -> str:
    if not value:
        return ""
    if "\0" in value or not os.path.isabs(value):
        raise BadInput(f"{option}: {value!r} is not an absolute path on the managed host")
    return str(value)


def _signal(value: str) -> str:
    if not _SIGNAL.match(value):
        raise BadInput(f"stop_signal: {value!r} is not a signal", hint="write it as SIGTERM")
    return value


# The option, which is also the field of the configuration, and the way from one to the other.
CONFIG: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("command", lambda value: words("command", value)),
    ("entrypoint", lambda value: words("entrypoint", value)),
    ("env", lambda value: table("env", value)),
    ("working_dir", lambda value: _absolute("working_dir", value)),
    ("user", lambda value: text("user", value)),
    ("labels", lambda value: table("labels", value)),
    ("exposed_ports", ports),
    ("volumes", directories),
    ("stop_signal", _signal),
)
