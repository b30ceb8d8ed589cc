# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes as chmod(1) takes them: octal, or `u=rwX,go=rX`, with a umask of nothing. Pure."""

from __future__ import annotations

import re

from ...core.errors import BadInput

_OCTAL = re.compile(r"0*[0-7]{1,4}\Z")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)\Z")
_CHANGE = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_SETID = {"u": 0o4000, "g": 0o2000, "o": 0}


def check(text: str) -> str:
    """The mode, if it is one."""
    if not _OCTAL.match(text) and not all(_CLAUSE.match(clause) for clause in text.split(",")):
        raise BadInput(f"--chmod={text} is not a mode", hint="write it as 0644, or as u=rwX,go=rX")
    return text


def changed(text: str, mode: int, *, directory: bool) -> int:
    """What a mode becomes."""
    if _OCTAL.match(text):
        return int(text, 8)
    for clause in text.split(","):
        match = _CLAUSE.match(clause)
        who, changes = (match[1], match[2]) if match else ("", "")
        people = "ugo" if not who or "a" in who else who
        for sign, rights in _CHANGE.findall(changes):
            bits = sum(_bits(one, rights, mode, directory) for one in dict.fromkeys(people))
            bits |= 0o1000 if "t" in rights else 0
            if sign == "=":
                mode &= ~sum(7 << _SHIFT[one] | _SETID[one] for one in dict.fromkeys(people))
            mode = mode & ~bits if sign == "-" else mode | bits
    return mode


def _bits(who: str, rights: str, mode: int, directory: bool) -> int:
    if rights in _SHIFT:
        return (mode >> _SHIFT[rights] & 7) << _SHIFT[who]
    execute = "x" in rights or ("X" in rights and (directory or bool(mode & 0o111)))
    value = 4 * ("r" in rights) + 2 * ("w" in rights) + execute
    return value << _SHIFT[who] | (_SETID[who] if "s" in rights else 0)
