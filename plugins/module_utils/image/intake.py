# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a layer in: one pass over a tar that hashes it, keeps it as a blob and unpacks it, in flat memory.

A layer has two digests. The blob's is that of the bytes as they came, so a gzip or zstd tar is kept as it is: nothing
is compressed twice, and the same file has the same digest wherever it is imported. The `diff_id` is that of the tar
inside. The specification knows no xz or bzip2; of those the plain tar is kept, and both digests are one.

::

    file ──▶ tee: hash, blob ──▶ expand ──▶ count, hash ──▶ tar entries ──▶ directory
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from ..core.errors import BadImage
from ..linux import libc
from . import compression
from .layer import unpack
from .manifest import Descriptor
from .media import LAYER, LAYER_GZIP, LAYER_ZSTD
from .tarstream import CHUNK, DEFAULTS, Limits, Readable, TarStream
from .workspace import Workspace

_MEDIA_TYPE = {"": LAYER, "xz": LAYER, "bzip2": LAYER, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}


@dataclass(frozen=True)
class NewLayer:
    """A layer that is whole, but not yet in the store.

    `newest` is its latest modification time, in ns; `source` the digest of the bytes as they came.
    """

    descriptor: Descriptor
    diff_id: str
    blob: str
    directory: str
    newest: int
    source: str = ""


class Tee:
    """Read on, and keep a copy and its digest."""

    def __init__(self, source: Readable, copy: BinaryIO | None) -> None:
        self._source = source
        self._copy = copy
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        if self._copy is not None:
            self._copy.write(data)
        return data

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()


class Bounded:
    """Read on until more has come than a layer may have: a bomb is stopped while it expands."""

    def __init__(self, source: Readable, limit: int) -> None:
        self._source = source
        self._left = limit

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BadImage("the image expands to more than a layer may have")
        return data


class Buffered:
    """Large reads below, small ones above: a tar header is 512 bytes."""

    def __init__(self, source: Readable, head: bytes = b"") -> None:
        self._source = source
        self._data = memoryview(head)

    def read(self, size: int) -> bytes:
        if not self._data:
            self._data = memoryview(self._source.read(CHUNK))
        part = bytes(self._data[:size])
        self._data = self._data[size:]
        return part


def take_in(source: Readable, work: Workspace, *, below: Sequence[str] = (), limits: Limits = DEFAULTS) -> NewLayer:
    """The layer that `source` holds. `below`: the unpacked layers that it lies on, bottom to top."""
    head = _head(source)
    kind = compression.detect(head)
    blob, directory = work.new("blob"), work.new("root")
    os.mkdir(directory, 0o755)
    os.chmod(directory, 0o755)
    with ExitStack() as stack:
        copy = stack.enter_context(open(blob, "xb"))
        rewritten = kind in ("xz", "bzip2")
        raw = kept = inner = Tee(Buffered(source, head), None if rewritten else copy)
        if rewritten:
            kept = inner = Tee(_bounded(compression.Expanded(raw, kind), limits), copy)
        elif kind:
            inner = Tee(_bounded(_expand(kept, kind, copy, blob, stack), limits), None)
        newest = _unpack(inner, directory, below, limits)
        drain(raw, None)
        copy.flush()
        libc.syncfs(copy.fileno())
    descriptor = Descriptor(_MEDIA_TYPE[kind], kept.digest, kept.size)
    return NewLayer(descriptor, inner.digest, blob, directory, newest, raw.digest)


def restore(blob: str, expected: str, work: Workspace, *, below: Sequence[str], limits: Limits = DEFAULTS) -> str:
    """Unpack a blob of the store again; the directory, once its content is known to be `expected` (a diff_id)."""
    directory = work.new("root")
    os.mkdir(directory, 0o755)
    os.chmod(directory, 0o755)
    with ExitStack() as stack:
        handle = stack.enter_context(open(blob, "rb", buffering=0))
        inner = Tee(_bounded(expanded(handle, blob, stack), limits), None)
        _unpack(inner, directory, below, limits, known=True)
        libc.syncfs(handle.fileno())
    if inner.digest != expected:
        raise BadImage(f"a layer's content is {inner.digest}, not {expected}", hint="import the image again")
    return directory


def expanded(handle: Readable, path: str, stack: ExitStack) -> Readable:
    """What the file that `handle` reads from its beginning expands to. The host's zstd opens it by its path."""
    head = _head(handle)
    kind = compression.detect(head)
    if kind == "zstd" and not compression.has_zstd_module():
        return _host_zstd(path, stack)
    raw = Buffered(handle, head)
    return compression.Expanded(raw, kind) if kind else raw


def _head(source: Readable) -> bytes:
    head = b""
    while len(head) < compression.MAGIC_SIZE:
        data = source.read(CHUNK)
        if not data:
            break
        head += data
    if not head:
        raise BadImage("the archive is empty")
    return head


def _bounded(source: Readable, limits: Limits) -> Bounded:
    """File contents, and as much again for headers and padding as the number of entries allows."""
    return Bounded(source, limits.size + limits.padding + 1024 * limits.entries)


def _expand(kept: Tee, kind: str, copy: BinaryIO, blob: str, stack: ExitStack) -> Readable:
    """The expanded stream. The host's zstd reads a file, so there the copy comes first and is read once more."""
    if kind != "zstd" or compression.has_zstd_module():
        return compression.Expanded(kept, kind)
    drain(kept, None)
    copy.flush()
    return _host_zstd(blob, stack)


def _host_zstd(blob: str, stack: ExitStack) -> Readable:
    handle = stack.enter_context(open(blob, "rb", buffering=0))  # noqa: SIM115
    program = compression.HostZstd(handle.fileno())
    stack.callback(program.close)
    return program


def _unpack(inner: Tee, directory: str, below: Sequence[str], limits: Limits, *, known: bool = False) -> int:
    newest = unpack(TarStream(Buffered(inner), limits, known=known), directory, below=below, limits=limits)
    drain(inner, limits.padding)
    return newest


def drain(source: Readable, limit: int | None) -> None:
    """Read to the end, so that the digest covers all of it. Archives are padded behind their end mark."""
    while True:
        data = source.read(CHUNK)
        if not data:
            return
        if limit is not None:
            limit -= len(data)
            if limit < 0:
                raise BadImage("the archive goes on for too long behind its end mark")
