# SPDX-License-Identifier: GPL-3.0-or-later
"""A tar file for others, plain or compressed: written whole or not at all, and known again without being written.

Compressed by gzip without a name or a time, so that the same content is the same file.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, cast

from ..core.errors import BadImage
from ..linux.files import sync_dir
from .layout import open_regular
from .tarstream import CHUNK

NONE, GZIP = "none", "gzip"
_LEVEL = 6
_BROKEN = (OSError, EOFError, zlib.error, BadImage)


def write(path: str, pieces: Iterable[bytes], compression: str = NONE) -> None:
    """Write the file beside its place and rename it. One writer at a time: what a killed one left is written over."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.mini.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        with open(temporary, "xb") as file:
            with _packed(file, compression) as handle:
                for piece in pieces:
                    handle.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_dir(directory)


def holds(path: str, pieces: Iterable[bytes], compression: str = NONE) -> bool:
    """Whether the file is just that. It is read as far as it is."""
    try:
        with _unpacked(path, compression) as handle:
            return all(handle.read(len(piece)) == piece for piece in pieces) and not handle.read(1)
    except _BROKEN:
        return False


def begins(path: str, beginning: bytes, size: int, compression: str = NONE) -> bool:
    """Whether the file's content begins so, and is of that size."""
    try:
        with _unpacked(path, compression) as handle:
            return _size(path, compression, size) and handle.read(len(beginning)) == beginning
    except _BROKEN:
        return False


def _size(path: str, compression: str, size: int) -> bool:
    """gzip has the size at its end, modulo 2³² (RFC 1952)."""
    if compression == NONE:
        return os.stat(path).st_size == size
    with open(open_regular(path), "rb") as handle:
        handle.seek(-4, os.SEEK_END)
        return int.from_bytes(handle.read(4), "little") == size % 2**32


@contextlib.contextmanager
def _packed(file: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    if compression == NONE:
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed:
        yield cast("IO[bytes]", packed)


@contextlib.contextmanager
def _unpacked(path: str, compression: str) -> Iterator[IO[bytes]]:
    with open(open_regular(path), "rb", buffering=CHUNK) as file:
        if compression == NONE:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast("IO[bytes]", unpacked)
