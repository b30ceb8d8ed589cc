# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives byte by byte, so that they can be as wrong as an attacker wants them."""

from __future__ import annotations

import os
from typing import Any

END = bytes(1024)
HUGE = {"size": b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7}


def pad(data: bytes) -> bytes:
    """Whole blocks."""
    return data + bytes(-len(data) % 512)


def octal(value: int, width: int) -> bytes:
    """As most writers have it, or in base 256 when it does not fit."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    if value >= 0:
        raw[0] |= 0x80
    return bytes(raw)


def member(name: str | bytes, kind: bytes = b"0", data: bytes = b"", **fields: Any) -> bytes:
    """One member. `fields`: mode uid gid size mtime major minor, as numbers or bytes; link magic prefix tail.

    It belongs to whoever asks, if nothing else is said: only root could give it to another.
    """
    values = {
        "mode": 0o755 if kind == b"5" else 0o644,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "size": len(data),
        "mtime": 1000,
        "major": 0,
        "minor": 0,
        **fields,
    }
    number = {
        key: item if isinstance(item, bytes) else octal(item, 12 if key in ("size", "mtime") else 8)
        for key, item in values.items()
        if key in ("mode", "uid", "gid", "size", "mtime", "major", "minor")
    }
    block = bytearray(512)
    parts = (
        (0, raw(name)[:100]),
        (100, number["mode"]),
        (108, number["uid"]),
        (116, number["gid"]),
        (124, number["size"]),
        (136, number["mtime"]),
        (156, kind),
        (157, raw(fields.get("link", b""))[:100]),
        (257, fields.get("magic", b"ustar\x0000")),
        (329, number["major"]),
        (337, number["minor"]),
        (345, raw(fields.get("prefix", b""))),
        *fields.get("tail", ()),
    )
    for offset, content in parts:
        block[offset : offset + len(content)] = content
    return checksum(block) + pad(data)


def checksum(block: bytearray) -> bytes:
    """The block with its checksum in place."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def raw(text: str | bytes) -> bytes:
    """Names are bytes."""
    return text if isinstance(text, bytes) else text.encode()


def record(key: str | bytes, value: str | bytes) -> bytes:
    """One record of a pax header."""
    body = b" " + raw(key) + b"=" + raw(value) + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d%s" % (length, body)


def pax(records: dict[str, str | bytes] | bytes, kind: bytes = b"x") -> bytes:
    """A pax header for the next member."""
    data = records if isinstance(records, bytes) else b"".join(record(key, item) for key, item in records.items())
    return member("pax", kind, data)


def long(text: str | bytes, kind: bytes = b"L") -> bytes:
    """GNU's header for a long name, or with K a long link."""
    return member("././@LongLink", kind, raw(text) + b"\0", magic=b"ustar  \0")


def archive(*members: bytes) -> bytes:
    """Members and the end mark."""
    return b"".join(members) + END
