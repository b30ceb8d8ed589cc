# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar headers for what we write: ustar, with a pax header before those members that do not fit.

The same members give the same bytes: nothing of the host, the time or the Python that writes gets in. Times are whole
seconds, users and groups are numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

from .tarheader import BLOCK
from .tarstream import Entry

END = bytes(2 * BLOCK)
_OCTAL_ID = 0o7777777
_OCTAL_SIZE = 0o77777777777


def header(entry: Entry) -> bytes:
    """The blocks before the member's content."""
    records = _records(entry)
    block = _block(entry)
    if not records:
        return block
    data = b"".join(_record(key, value) for key, value in sorted(records.items()))
    extension = Entry(name=b"pax", kind=b"x", mode=0o644, uid=0, gid=0, mtime_ns=0, size=len(data))
    return _block(extension) + data + padding(len(data)) + block


def padding(size: int) -> bytes:
    """What fills the last block of a content."""
    return bytes(-size % BLOCK)


def _records(entry: Entry) -> Mapping[bytes, bytes]:
    """What the fixed fields cannot hold."""
    records = {b"SCHILY.xattr." + name.encode(): value for name, value in entry.xattrs.items()}
    if len(entry.name) > 100:
        records[b"path"] = entry.name
    if len(entry.link) > 100:
        records[b"linkpath"] = entry.link
    if entry.size > _OCTAL_SIZE:
        records[b"size"] = b"%d" % entry.size
    for key, value in ((b"uid", entry.uid), (b"gid", entry.gid)):
        if value > _OCTAL_ID:
            records[key] = b"%d" % value
    return records


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value\\n`, the length counting itself."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _block(entry: Entry) -> bytes:
    seconds = max(entry.mtime_ns // 10**9, 0)
    fields = [
        entry.name[:100].ljust(100, b"\0"),
        b"%07o\0" % entry.mode,
        b"%07o\0" % min(entry.uid, _OCTAL_ID),
        b"%07o\0" % min(entry.gid, _OCTAL_ID),
        b"%011o\0" % min(entry.size, _OCTAL_SIZE),
        b"%011o\0" % min(seconds, _OCTAL_SIZE),
        b" " * 8,
        entry.kind,
        entry.link[:100].ljust(100, b"\0"),
        b"ustar\x0000".ljust(8 + 64, b"\0"),  # magic, version, and no names of user and group
        b"%07o\0" % entry.major,
        b"%07o\0" % entry.minor,
    ]
    block = b"".join(fields).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
