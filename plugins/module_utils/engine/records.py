# SPDX-License-Identifier: GPL-3.0-or-later
"""Records on disk: one JSON file an object, read and written whole.

A record that cannot be read is set aside beside its place as `record.json.corrupt`; the object is then treated as
half made, and everything else goes on working.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any, Optional, TypeVar, cast

from ..core import codec
from ..core.errors import CorruptRecord
from ..core.paths import Paths
from ..linux.files import make_private_dir, read_text, write_atomic

T = TypeVar("T")


def load(cls: type[T], path: str) -> Optional[T]:
    """The record at `path`, None when there is none, `CorruptRecord` when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise CorruptRecord(f"cannot read the record {path}: {exc.strerror}", path=path, errno=exc.errno) from exc
    with open(fd, "rb") as handle:
        found: T = _decoded(cast(Any, cls), handle.read(), path)
        return found


@functools.lru_cache(maxsize=64)
def _decoded(cls: type[Any], raw: bytes, path: str) -> Any:
    """Many ask for a network's record on the way of a container. To read it again shows whether it is the same, and to
    make it an object is most of the work."""
    return codec.decode(cls, raw, path)


def save(record: Any, path: str, *, durable: bool = True) -> None:
    """Write the record, making its directory when it is missing. Without `durable` a power cut may empty it."""
    make_private_dir(os.path.dirname(path))
    write_atomic(path, codec.encode(record), durable=durable)


def set_aside(path: str) -> str:
    """Move an unreadable record out of the way; the new path is returned."""
    aside = f"{path}.corrupt"
    os.replace(path, aside)
    return aside


def names_in(directory: str) -> list[str]:
    """The names in a directory of objects, sorted; empty when it does not exist."""
    try:
        return sorted(name for name in os.listdir(directory) if not name.endswith(".tmp"))
    except FileNotFoundError:
        return []


def peek(paths: Paths, container_id: str) -> Optional[dict[str, Any]]:
    """A container's record as plain JSON, empty when it cannot be read, None when there is none.

    Networks and volumes ask who uses them. There may be a thousand containers, and making each record an object takes
    a millisecond.
    """
    try:
        found = json.loads(read_text(paths.container_record(container_id)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
