# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a tmpfs in canonical form: two ways to write one thing are one thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..core.errors import BadInput
from ..core.specs.volume import Mount
from ..core.units import parse_extent
from ..linux.mount_options import CLEARED, FLAGS

_OF_THE_MOUNT = frozenset({*FLAGS, *CLEARED}) - {
    "bind",
    "rbind",
    "remount",
    "idmap",
    "ridmap",
    "defaults",
    "acl",
    "noacl",
}
# tmpfs(5), and what has the content of the directory below copied into it.
_FLAGS = _OF_THE_MOUNT | {"noswap", "inode32", "inode64", "tmpcopyup"}
_VALUES = frozenset("size nr_blocks nr_inodes mode uid gid huge mpol".split())
_OPPOSITE = {"rw": "ro", "async": "sync", "inode64": "inode32"}


def memory(option: str, target: str, given: Iterable[str]) -> Mount:
    """A tmpfs with these options. Of two that contradict the later one counts."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if name not in (_VALUES if equals else _FLAGS) or (equals and not value):
            raise BadInput(f"{option}: {text!r} of {target} is not an option of a tmpfs", hint="see tmpfs(5)")
        found[_subject(name)] = f"{name}={_value(f'{option}: {name}', name, value)}" if equals else name
    options = tuple(sorted(found.values()))
    return Mount(target, "tmpfs", "ro" in options, "tmpfs", "rprivate", options)


def _subject(name: str) -> str:
    """What an option and its opposite are about."""
    return _OPPOSITE.get(name, name[2:] if name.startswith("no") and name != "noswap" else name)


def _value(option: str, name: str, value: str) -> str:
    if name == "size" and not re.match(r"[0-9]{1,9}%\Z", value):
        return str(parse_extent(option, value))
    if name == "mode":
        if not re.match(r"[0-7]{1,5}\Z", value):
            raise BadInput(f"{option}: {value!r} is not a mode", hint="write it in octal digits, as 1777")
        return f"{int(value, 8):o}"
    return value
