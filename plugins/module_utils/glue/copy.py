# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_container_copy` as a canonical `CopySpec`, and its diff."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Optional

from ..core.errors import BadInput
from ..engine.copies.converge import MAX_SHOWN, Outcome
from ..engine.copies.spec import CopySpec
from .secrets import parse_mode

MAX_ID = 2**32 - 2


def copy_spec(params: Mapping[str, Any]) -> CopySpec:
    """What the task asks for. `BadInput` names the first option that makes no sense."""
    out = bool(params.get("from_container"))
    inside, outside = _paths(params, out=out)
    content = _content(params)
    if (content is None) == (not outside):
        raise BadInput("one of path, src and content is needed, and one only")
    if content is not None and out:
        raise BadInput("content: with from_container there is no content to give", hint="give dest")
    return CopySpec(
        container=params["container"],
        inside=_absolute("container_path", inside),
        outside=_absolute("path", outside) if outside else "",
        content=content,
        out=out,
        follow=bool(params.get("follow")),
        local_follow=params.get("local_follow") is not False,
        owner=_owner(params),
        mode=_mode(params),
        force=params.get("force"),
    )


def _paths(params: Mapping[str, Any], *, out: bool) -> tuple[str, str]:
    """`path` is always on the host and `container_path` in the container; `src` and `dest` change sides."""
    source, target = params.get("src"), params.get("dest")
    inside, outside = (source, target) if out else (target, source)
    return params.get("container_path") or inside or "", params.get("path") or outside or ""


def _absolute(option: str, path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise BadInput(f"{option}: {path!r} is not an absolute path", hint="begin it with /")
    if path.rstrip("/").rpartition("/")[2] in (".", ".."):
        raise BadInput(f"{option}: {path!r} ends in no name", hint="give the path of the file or directory itself")
    return path


def _content(params: Mapping[str, Any]) -> Optional[bytes]:
    content = params.get("content")
    if content is None or not params.get("content_is_b64"):
        return None if content is None else str(content).encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as exc:  # binascii.Error, and what has other than ASCII in it
        raise BadInput("content: it is not Base64, as content_is_b64 says") from exc


def _owner(params: Mapping[str, Any]) -> Optional[tuple[int, int]]:
    owner, group = params.get("owner_id"), params.get("group_id")
    if owner is None or group is None:
        return None
    for option, value in (("owner_id", owner), ("group_id", group)):
        if not 0 <= value <= MAX_ID:
            raise BadInput(f"{option}: {value} is not an id", hint=f"give 0 to {MAX_ID}")
    return owner, group


def _mode(params: Mapping[str, Any]) -> Optional[int]:
    """Three ways to read it, as docker_container_copy_into has them."""
    value, way = params.get("mode"), params.get("mode_parse")
    if value is None:
        return None
    if way == "octal_string_only" and not isinstance(value, str):
        raise BadInput(f"mode: {value!r} is not a string of octal digits", hint="put it in quotes")
    if way == "legacy" and isinstance(value, str) and value.isdigit():
        value = int(value)
    return parse_mode("mode", value)


def diff(outcome: Outcome) -> dict[str, Any]:
    """The old and the new content of one file, as `ansible.builtin.copy` shows them."""
    if outcome.before is None or outcome.after is None:
        return {}
    found: dict[str, Any] = {"before_header": outcome.path, "after_header": outcome.path}
    for side, key, raw in (("before", "dst", outcome.before), ("after", "src", outcome.after)):
        if len(raw) > MAX_SHOWN:
            found[f"{key}_larger"] = MAX_SHOWN
        elif b"\0" in raw:
            found[f"{key}_binary"] = 1
        else:
            found[side] = raw.decode("utf-8", "replace")
    return found
