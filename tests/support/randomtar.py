# SPDX-License-Identifier: GPL-3.0-or-later
"""Random layers out of a seed: few names, so that they meet each other in every way; and damage to their bytes."""

from __future__ import annotations

import random
from typing import Optional

from rawtar import archive, checksum, long, member, pax

NAMES = ("a", "b", "c", "d")
HARD, LINK, CHAR, BLOCK, DIR, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
MODES = (0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o600, 0o000, 0o7777)
OWNERS = (0, 1, 1000, 65534, 2**21, 2**31, 2**32 - 2)


class Maker:
    """Members of random layers. What is likely to be there is remembered, so that most of it can be unpacked."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.directories = [""]
        self.files: list[str] = []

    def members(self, most: int, *, upper: bool) -> list[bytes]:
        """Those of a layer. Directories come first as a rule, as tar writes them."""
        count = self.chance.randint(0, most)
        first = [self.directory(name) for name in NAMES if self.chance.random() < 0.5]
        makers = [*[self.file] * 4, *[self.link] * 2, self.directory, self.hard, self.node]
        makers += [self.whiteout] * (2 if upper else self.chance.random() < 0.1)
        return [*first, *(self.chance.choice(makers)() for _number in range(count))]

    def path(self) -> str:
        """`a`, `b/c`, `d/a/b`…, nearly always in a directory that there is."""
        if self.chance.random() < 0.03:
            return "/".join(self.chance.choice(NAMES) for _level in range(3))
        return f"{self.chance.choice(self.directories)}/{self.chance.choice(NAMES)}".lstrip("/")

    def taken(self, path: str) -> str:
        """The path, at which there is no directory any more."""
        self.directories = [one for one in self.directories if one != path and not one.startswith(path + "/")]
        self.files = [one for one in self.files if one in self.directories or not one.startswith(path + "/")]
        return path

    def target(self) -> str:
        """Where a link may point: inside, upwards, from the root, to nothing."""
        beginning = self.chance.choice(("", "", "", "/", "../", "../../../", "./"))
        return beginning + (self.path() if self.chance.random() < 0.95 else "none")

    def spelled(self, path: str) -> str:
        """Another way to write the same name."""
        return self.chance.choice(("", "", "", "./", "/", "a/../", ".//")) + path

    def look(self) -> dict[str, int]:
        """Mode, owner and time."""
        pick = self.chance.choice
        return {"mode": pick(MODES), "uid": pick(OWNERS), "gid": pick(OWNERS), "mtime": pick((0, 1, 10**9))}

    def extended(self, *, attributes: bool = False) -> bytes:
        """Perhaps a pax header: a time with a fraction, an owner, an attribute."""
        records: dict[str, str | bytes] = {}
        if self.chance.random() < 0.3:
            records["mtime"] = f"{self.chance.randint(0, 10**9)}.{self.chance.randint(0, 10**9 - 1):09}"
        if attributes and self.chance.random() < 0.2:
            records["SCHILY.xattr.user.note"] = bytes(self.chance.randrange(256) for _byte in range(9))
        if self.chance.random() < 0.1:
            records["uid"] = str(self.chance.choice(OWNERS))
        return pax(records) if records else b""

    def directory(self, path: str = "") -> bytes:
        path = path or self.path()
        self.files = [one for one in self.files if one != path]
        self.directories += [path] * (path.count("/") < 3 and path not in self.directories)
        return self.extended(attributes=True) + member(self.spelled(path) + "/", DIR, **self.look())

    def file(self) -> bytes:
        data = bytes([self.chance.randrange(256)]) * self.chance.choice((0, 1, 511, 512, 513, 3000))
        path = self.taken(self.path())
        self.files.append(path)
        name = self.spelled(path)
        kind = self.chance.choice((b"0", b"0", b"0", b"\0"))
        if self.chance.random() < 0.1:
            return long(name) + member("short", kind, data, **self.look())
        return self.extended(attributes=True) + member(name, kind, data, **self.look())

    def link(self) -> bytes:
        name, target = self.spelled(self.taken(self.path())), self.target()
        return self.extended() + member(name, LINK, link=target, **self.look())

    def hard(self) -> bytes:
        if not self.files:
            return self.file()
        target = self.chance.choice(self.files)
        path = self.taken(self.path())
        self.files.append(path)
        return member(self.spelled(path), HARD, link=self.spelled(target), **self.look())

    def node(self) -> bytes:
        kind, name = self.chance.choice((FIFO, CHAR, BLOCK)), self.spelled(self.taken(self.path()))
        return member(name, kind, major=self.chance.randint(0, 3), minor=3, **self.look())

    def whiteout(self) -> bytes:
        directory, _slash, name = self.path().rpartition("/")
        mark = ".wh..wh..opq" if self.chance.random() < 0.3 else f".wh.{name}"
        return member(f"{directory}/{mark}" if directory else mark)


def layers(seed: int, most: int = 50) -> list[bytes]:
    """One to three layers."""
    chance = random.Random(seed)
    maker = Maker(chance)
    return [archive(*maker.members(most, upper=number > 0)) for number in range(chance.randint(1, 3))]


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """The same with something wrong: bits flipped, a header field replaced, a part cut out, repeated, or missing."""
    data = bytearray(raw)
    for _time in range(chance.randint(1, 4)):
        how = chance.randrange(5)
        start = 512 * chance.randrange(max(len(data) // 512, 1))
        if how == 0:
            del data[chance.randrange(len(data) + 1) :]
        elif how == 1:
            data[start : start + 512] = b""
        elif how == 2:
            data[start:start] = data[start : start + 512 * chance.randint(1, 4)]
        elif how == 3 and data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        else:
            block = _field(data[start : start + 512], chance)
            if block:
                data[start : start + 512] = block
    return bytes(data)


_FIELDS = (
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (156, 1),
    (157, 100),
    (257, 8),
    (329, 16),
    (345, 155),
)
_VALUES = (
    b"",
    b"\xff" * 12,
    b"\x80" + bytes(11),
    b"-1",
    b"7" * 11,
    b"../../x",
    b"9",
    b" ",
    b"x",
    b"L",
    b"S",
    b"g",
    b"K",
    b"\0",
)


def _field(block: bytearray, chance: random.Random) -> Optional[bytes]:
    """A header with another value in one field, and a checksum that is right."""
    if len(block) < 512:
        return None
    offset, length = chance.choice(_FIELDS)
    value = chance.choice(_VALUES)[:length]
    block[offset : offset + length] = value.ljust(length, b"\0")
    return checksum(block)
