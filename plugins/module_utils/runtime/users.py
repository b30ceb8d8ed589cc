# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the image, looked up in the image's own files.

Not by `pwd`: that would load the host's, or worse the image's, name service libraries into a privileged process.
The files belong to the image: they are opened inside its root, and what is read is bounded.
"""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

from ..linux.files import open_in_root
from .report import StepError

MAX_FILE = 1 << 20
MAX_ID = 2**32 - 2


class User(NamedTuple):
    """Who the container's process is. `home` is empty when nothing says."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(root_fd: int, text: str) -> User:
    """The user behind `name`, `uid`, `name:group`, `uid:gid`. An empty text is root.

    Digits are an id, whatever names the files hold (CVE-2024-40635: an image may call uid 0 "4294967296").
    """
    wanted_user, _colon, wanted_group = text.partition(":")
    entry = _find_user(_lines(root_fd, "/etc/passwd"), wanted_user or "0")
    uid, gid, name, home = entry
    if wanted_group:
        return User(uid, _find_group(_lines(root_fd, "/etc/group"), wanted_group), (), home)
    groups = [number for number, members in _groups(_lines(root_fd, "/etc/group")) if name and name in members]
    return User(uid, gid, tuple(dict.fromkeys(groups)), home)


def of_process(root_fd: int, wanted: dict[str, Any]) -> User:
    """The user of an OCI `process.user`; besides numbers, `username` and `additionalGroups` name them as people do."""
    if "uid" in wanted or "gid" in wanted:
        known = resolve(root_fd, str(wanted.get("uid", 0)))
        found = User(known.uid, wanted.get("gid", 0), tuple(wanted.get("additionalGids") or ()), known.home)
    else:
        found = resolve(root_fd, wanted.get("username", ""))
        # Its own group among the supplementary ones, as in Docker: a setgid program cannot lose it (CVE-2022-2989).
        found = found._replace(groups=(found.gid, *found.groups))
    lines = _lines(root_fd, "/etc/group") if wanted.get("additionalGroups") else []
    more = tuple(_find_group(lines, name) for name in wanted.get("additionalGroups", ()))
    return found._replace(groups=tuple(dict.fromkeys((*found.groups, *more))))


def _find_user(lines: list[list[str]], wanted: str) -> tuple[int, int, str, str]:
    number = _number(wanted)
    for fields in lines:
        if len(fields) < 6:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is None or gid is None:
            continue
        if (uid == number) if number is not None else (fields[0] == wanted):
            return uid, gid, fields[0], fields[5]
    if number is None:
        raise StepError(f"the container has no user {wanted!r} in its /etc/passwd; give one that it has, or a number")
    return number, 0, "", "/" if number else "/root"


def _find_group(lines: list[list[str]], wanted: str) -> int:
    number = _number(wanted)
    if number is not None:
        return number
    for fields in lines:
        gid = _number(fields[2]) if len(fields) > 2 else None
        if fields[0] == wanted and gid is not None:
            return gid
    raise StepError(f"the container has no group {wanted!r} in its /etc/group; give one that it has, or a number")


def _groups(lines: list[list[str]]) -> list[tuple[int, list[str]]]:
    found = []
    for fields in lines:
        gid = _number(fields[2]) if len(fields) > 3 else None
        if gid is not None:
            found.append((gid, fields[3].split(",")))
    return found


def _number(text: str) -> int | None:
    digits = text[1:] if text[:1] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text) if len(text) < 12 else -1
    if not 0 <= value <= MAX_ID:
        raise StepError(f"{text[:40]} is not a user or group id; ids go from 0 to {MAX_ID}")
    return value


def _lines(root_fd: int, path: str) -> list[list[str]]:
    """The fields of each line of a small file of the image; none when it is missing or is no regular file."""
    try:
        fd = open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        raw = os.read(fd, MAX_FILE + 1)
    finally:
        os.close(fd)
    if len(raw) > MAX_FILE:
        raise StepError(f"the container's {path} is larger than {MAX_FILE} bytes", path)
    return [line.split(":") for line in raw.decode("utf-8", "surrogateescape").split("\n") if line]
