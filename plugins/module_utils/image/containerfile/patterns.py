# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of names: those of COPY (Go's filepath.Match), and those of a .dockerignore, which have `**` and `!`, too.

Sources: Go, src/path/filepath/match.go; moby/patternmatcher, patternmatcher.go and ignorefile/ignorefile.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from typing import Optional

from ...core.errors import BadInput
from .where import located

_MAGIC = re.compile(r"[*?\[\\]")


def has_magic(pattern: str) -> bool:
    """Whether a pattern can mean another name than itself."""
    return bool(_MAGIC.search(pattern))


def component(pattern: str) -> re.Pattern[str]:
    """One component of a path: `*`, `?`, `[a-z]`, `[^a-z]`, and a backslash before what is meant literally."""
    return re.compile(_expression(pattern, deep=False) + r"\Z", re.DOTALL)


def _expression(pattern: str, *, deep: bool) -> str:
    result, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*" and deep and pattern[at : at + 1] == "*":
            at += 1
            at += pattern[at : at + 1] == "/"
            result += ".*" if at == len(pattern) else "(?:.*/)?"
        elif character == "*":
            result += "[^/]*"
        elif character == "?":
            result += "[^/]"
        elif character == "[":
            piece, at = _class(pattern, at)
            result += piece
        else:
            if character == "\\":
                character, at = pattern[at : at + 1], at + 1
                if not character:
                    raise _bad(pattern)
            result += re.escape(character)
    return result


def _class(pattern: str, at: int) -> tuple[str, int]:
    """`[a-z]` from behind its bracket; where it ends."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges = ""
    while pattern[at : at + 1] != "]" or not ranges:
        low, at = _one(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _one(pattern, at + 1)
        if low > high:
            raise _bad(pattern)
        ranges += f"{re.escape(low)}-{re.escape(high)}"
    return f"(?!/)[{'^' if negated else ''}{ranges}]", at + 1


def _one(pattern: str, at: int) -> tuple[str, int]:
    """A character of a class. `-` and `]` are none."""
    at += pattern[at : at + 1] == "\\"
    character = pattern[at : at + 1]
    if not character or (character in "-]" and pattern[at - 1] != "\\"):
        raise _bad(pattern)
    return character, at + 1


def _bad(pattern: str) -> BadInput:
    return BadInput(f"{pattern!r} is not a pattern of names", hint="write a backslash before what is meant literally")


class Ignore:
    """What is left out. The last pattern that matches a name, or a directory it is in, decides."""

    def __init__(self) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []

    def add(self, pattern: str) -> None:
        """One more rule; with `!` an exception to those before."""
        excepted = pattern.startswith("!")
        # Cleaned as Go does it, and counted from the top with or without a slash.
        path = posixpath.normpath(pattern[excepted:].strip()).lstrip("/") or "/"
        self._rules.append((excepted, re.compile(_expression(path, deep=True) + r"\Z", re.DOTALL)))

    @property
    def has_exceptions(self) -> bool:
        """Whether something in a directory that is left out may be wanted nevertheless."""
        return any(excepted for excepted, _expression in self._rules)

    def matches(self, path: str) -> bool:
        """Whether the path, from the top without a slash, is left out."""
        parts = path.split("/")
        names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
        ignored = False
        for excepted, expression in self._rules:
            if ignored == excepted and any(expression.match(name) for name in names):
                ignored = not excepted
        return ignored


def ignore(patterns: Collection[str]) -> Optional[Ignore]:
    """Those of --exclude; None for none."""
    found = Ignore()
    for pattern in patterns:
        found.add(pattern)
    return found if patterns else None


def read_ignore(text: str, file: str) -> Ignore:
    """The rules of a .dockerignore; `file` is what errors call it."""
    found = Ignore()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        pattern = line.strip()
        if pattern.strip("! ") and not line.startswith("#"):
            with located(file, number):
                found.add(pattern)
    return found
