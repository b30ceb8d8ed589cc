# SPDX-License-Identifier: GPL-3.0-or-later
"""A tar archive as a stream of entries, read once and forwards: ustar, pax, GNU long names, GNU sparse files.

Memory stays flat whatever the archive says: an extended header has at most 1 MiB, a payload is handed on in pieces,
and what the archive may unpack to is counted against `Limits` before a byte of it is read. Names are bytes, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..core.errors import BadImage
from . import sparse
from .tarheader import BLOCK, ZEROS, Header, clamp, decimal, nanoseconds, owner, parse_header, parse_pax

MAX_EXTENSION = 2**20
CHUNK = 2**20
FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_FILES = (FILE, b"\0", b"7")
_KINDS = (*_FILES, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO)
_CUT = "the archive is cut short: its end mark is missing"
_XATTR = b"SCHILY.xattr."


@dataclass(frozen=True)
class Limits:
    """What one layer may cost. `size` counts file contents, holes of sparse files included; `reason` is that for it."""

    size: int = 20 * 2**30
    entries: int = 1_000_000
    path: int = 4095  # PATH_MAX with its final NUL is 4096
    depth: int = 1000
    remembered: int = 64 * 2**20  # bytes of names kept in memory until the end
    padding: int = 64 * 2**20  # bytes behind the end mark
    reason: str = "that a layer may have"


DEFAULTS = Limits()


class Readable(Protocol):
    """What a stream is made of: up to `size` bytes, and `b""` at the end."""

    def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class Entry:
    """One member. `pieces` are the stored parts of the file, as (offset, length)."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    pieces: sparse.Pieces = ()
    xattrs: dict[str, bytes] = field(default_factory=dict)


class TarStream:
    """Iterate over the entries; read the content of the current one, if it is wanted, with `content`.

    `known`: the digest of the archive is known from elsewhere, and compared. Then it may also end behind its last
    file, without padding and end mark, as some tools write it; otherwise that is the sign of one that was cut short.
    """

    def __init__(self, source: Readable, limits: Limits = DEFAULTS, *, known: bool = False) -> None:
        self._known = known
        self._source = source
        self._limits = limits
        self._left = 0  # bytes of the current payload not yet read
        self._padding = 0
        self._headers = 0
        self._total = 0

    def __iter__(self) -> Iterator[Entry]:
        """The entries up to the end mark, two blocks of zeros."""
        while True:
            block = self._next_block()
            if block == ZEROS:
                if self._next_block() != ZEROS:
                    raise BadImage("the archive goes on behind a block of zeros")
                return
            yield self._entry(block)

    def content(self) -> Iterator[bytes]:
        """What is stored of the current file, in pieces of at most `CHUNK` bytes."""
        while self._left:
            data = self._source.read(min(self._left, CHUNK))
            if not data:
                raise BadImage("the archive ends in the middle of a file")
            self._left -= len(data)
            yield data

    def _next_block(self) -> bytes:
        for _data in self.content():
            pass
        padding, self._padding = self._padding, 0
        data = self._up_to(padding + BLOCK)
        if self._known and len(data) <= padding:
            return ZEROS
        if len(data) < padding + BLOCK:
            raise BadImage(_CUT)
        return data[padding:]

    def _exactly(self, size: int) -> bytes:
        data = self._up_to(size)
        if len(data) < size:
            raise BadImage(_CUT)
        return data

    def _up_to(self, size: int) -> bytes:
        """So much, or all that is left."""
        parts: list[bytes] = []
        while size:
            data = self._source.read(size)
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _payload(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def _entry(self, block: bytes) -> Entry:
        """The entry that begins with `block`, after the extended headers before it."""
        records: dict[bytes, bytes] = {}
        long_name = long_link = b""
        while True:
            header = self._header(block)
            if header.kind == b"x":  # of two in a row the last counts alone, as Go's reader has it
                records = parse_pax(self._extension(header))
            elif header.kind == b"L":
                long_name = self._extension(header).partition(b"\0")[0]
            elif header.kind == b"K":
                long_link = self._extension(header).partition(b"\0")[0]
            elif header.kind == b"g":  # defaults for all that follows; images have no use for them
                self._extension(header)
            else:
                named = header._replace(name=long_name or header.name, link=long_link or header.link)
                said = {key: value for key, value in records.items() if value or _may_be_empty(key)}
                return self._finish(named, block, said)
            block = self._next_block()

    def _header(self, block: bytes) -> Header:
        self._headers += 1
        if self._headers > self._limits.entries:
            raise BadImage(f"the archive has more than {self._limits.entries} entries")
        return parse_header(block)

    def _extension(self, header: Header) -> bytes:
        if header.size > MAX_EXTENSION:
            raise BadImage(f"the archive has an extended header of {header.size} bytes")
        data = self._exactly(header.size)
        self._exactly(-header.size % BLOCK)
        return data

    def _finish(self, header: Header, block: bytes, records: dict[bytes, bytes]) -> Entry:
        name = records.get(b"GNU.sparse.name", records.get(b"path", header.name))
        link = records.get(b"linkpath", header.link)
        stored = decimal(records[b"size"], "size") if b"size" in records else header.size
        kind, pieces, size = self._content(header, block, records, stored)
        if kind == FILE and name.endswith(b"/"):  # how the oldest archives write a directory
            kind = DIRECTORY
        return Entry(
            name=self._check_name(name),
            kind=kind,
            mode=header.mode,
            uid=owner(decimal(records[b"uid"], "uid") if b"uid" in records else header.uid, "uid"),
            gid=owner(decimal(records[b"gid"], "gid") if b"gid" in records else header.gid, "gid"),
            mtime_ns=nanoseconds(records[b"mtime"]) if b"mtime" in records else clamp(header.mtime * 10**9),
            size=size,
            link=self._check_name(link),
            major=header.major,
            minor=header.minor,
            pieces=pieces,
            xattrs={_key(key): value for key, value in records.items() if key.startswith(_XATTR)},
        )

    def _content(
        self, header: Header, block: bytes, records: dict[bytes, bytes], stored: int
    ) -> tuple[bytes, sparse.Pieces, int]:
        """The kind, the stored pieces and the real size; the stream is left at the first byte of the content."""
        if header.kind == b"S":
            size, pieces = sparse.old_gnu(block, lambda: self._exactly(BLOCK))
        elif header.kind not in _KINDS:
            raise BadImage(f"the archive has an entry of the unknown type {header.kind!r}: {header.name[:80]!r}")
        elif header.kind not in _FILES:
            return header.kind, (), 0  # a size in such a header is not followed by data
        elif records.get(b"GNU.sparse.major") == b"1":
            pieces, used = sparse.pax_leading(lambda: self._exactly(BLOCK))
            size, stored = decimal(records.get(b"GNU.sparse.realsize", b""), "size"), stored - used
        elif b"GNU.sparse.map" in records:
            size = decimal(records.get(b"GNU.sparse.size", b""), "size")
            pieces = sparse.pax_map(records)
        else:
            size, pieces = stored, (((0, stored),) if stored else ())
        self.charge(size)
        sparse.check(pieces, stored, size)
        self._payload(stored)
        return FILE, pieces, size

    def charge(self, size: int) -> None:
        """Count what the archive makes us write; `BadImage` when that is too much."""
        self._total += size
        if self._total > self._limits.size:
            raise BadImage(f"the archive unpacks to more than the {self._limits.size} bytes {self._limits.reason}")

    def _check_name(self, name: bytes) -> bytes:
        if b"\0" in name:
            raise BadImage(f"the archive has a name with a NUL byte: {name[:80]!r}")
        if len(name) > self._limits.path or name.count(b"/") > self._limits.depth:
            raise BadImage(f"the archive has a name that is too long or too deep: {name[:80]!r}…")
        return name


def _may_be_empty(key: bytes) -> bool:
    """Elsewhere an empty value takes back what was said before."""
    return key.startswith((_XATTR, b"GNU.sparse."))


def _key(key: bytes) -> str:
    return key[len(_XATTR) :].decode("utf-8", "surrogateescape")
