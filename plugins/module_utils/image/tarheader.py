# SPDX-License-Identifier: GPL-3.0-or-later
"""One 512-byte tar header, its numbers, and the records of a pax extended header.

Our own, because the standard library's reader differs between the Pythons we run on, and has had bugs that a hostile
archive can use: negative sizes, unbounded headers, quadratic parsing. Nothing is taken on trust here: a field that is
out of range ends the reading.

::

    0 name 100 │ 100 mode 8 │ 108 uid 8 │ 116 gid 8 │ 124 size 12 │ 136 mtime 12 │ 148 checksum 8 │ 156 type 1
    157 link name 100 │ 257 magic 8 │ 265 user 32 │ 297 group 32 │ 329 major 8 │ 337 minor 8 │ 345 prefix 155
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..core.errors import BadImage

BLOCK = 512
ZEROS = bytes(BLOCK)
MAX_ID = 2**32 - 1
_DECIMAL = re.compile(rb"[0-9]{1,19}\Z")
_TIME = re.compile(rb"(-?)([0-9]{1,19})(?:\.([0-9]{0,40}))?\Z")
_RECORD = re.compile(rb"([0-9]{1,7}) ")
EARLIEST, LATEST = -(2**31), 2**33  # the years 1901 and 2242: other times are beyond ext4 or xfs


class Header(NamedTuple):
    """The fields of one block, decoded. `kind` is the type flag."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    kind: bytes
    link: bytes
    major: int
    minor: int


def parse_header(block: bytes) -> Header:
    """The header in `block`; `BadImage` when it is none."""
    _verify(block)
    kind = block[156:157]
    name = _text(block[0:100])
    # Only POSIX ustar has a prefix: GNU's magic ends in two blanks and keeps other things in those bytes.
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return Header(
        name=prefix + b"/" + name if prefix else name,
        mode=number(block[100:108], "mode") & 0o7777,
        uid=number(block[108:116], "uid"),
        gid=number(block[116:124], "gid"),
        size=size_of(number(block[124:136], "size")),
        mtime=number(block[136:148], "mtime"),
        kind=kind,
        link=_text(block[157:257]),
        major=number(block[329:337], "major") if kind in b"34" else 0,
        minor=number(block[337:345], "minor") if kind in b"34" else 0,
    )


def _verify(block: bytes) -> None:
    """The sum of all bytes, its own field counted as blanks. Some old writers summed signed characters."""
    blanked = block[:148] + b" " * 8 + block[156:]
    stored = number(block[148:156], "checksum")
    unsigned = sum(blanked)
    if stored != unsigned and stored != unsigned - 256 * sum(byte > 127 for byte in blanked):
        raise BadImage("this is not a tar archive: a header's checksum is wrong")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def number(field: bytes, what: str) -> int:
    """Octal digits, or GNU's base 256: the top bit set, then a big-endian number in two's complement."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        return value if field[0] == 0xFF else value + (1 << (8 * len(field) - 1))
    digits = field.strip(b" \0").partition(b"\0")[0].strip()
    try:
        if digits and not digits.isdigit():
            raise ValueError
        return int(digits or b"0", 8)
    except ValueError:
        raise BadImage(f"a tar header's {what} is not a number: {field!r}") from None


def size_of(value: int) -> int:
    if not 0 <= value < 2**63:
        raise BadImage(f"a tar header claims a size of {value} bytes")
    return value


def decimal(raw: bytes, what: str) -> int:
    """A number of a pax record."""
    if not _DECIMAL.match(raw):
        raise BadImage(f"a pax header's {what} is not a number: {raw[:40]!r}")
    return size_of(int(raw))


def owner(value: int, what: str) -> int:
    """A user or group number that the kernel can hold. 2^32 - 1 means "leave it" to chown(2), so it is none."""
    if not 0 <= value < MAX_ID:
        raise BadImage(f"a tar header's {what} {value} is not between 0 and {MAX_ID - 1}")
    return value


def nanoseconds(raw: bytes) -> int:
    """A pax time, `-12.5`; what is no time at all (`nan`) is the epoch, as an out-of-range one is clamped."""
    match = _TIME.match(raw)
    if not match:
        return 0
    time_ns = int(match[2]) * 10**9 + int((match[3] or b"0")[:9].ljust(9, b"0"))
    return clamp(-time_ns if match[1] else time_ns)


def clamp(time_ns: int) -> int:
    """A time that every file system can hold."""
    return min(max(time_ns, EARLIEST * 10**9), LATEST * 10**9)


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """Records `length key=value\\n`, each length counting itself. GNU's sparse format 0.0 repeats two keys: joined."""
    found: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            if not data[position:].strip(b"\0"):
                break
            raise BadImage("a pax header is malformed")
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key:
            raise BadImage("a pax header has a record without a key")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            key, value = b"GNU.sparse.map", b",".join(filter(None, (found.get(b"GNU.sparse.map"), value)))
        found[key] = value
        position = end
    return found
