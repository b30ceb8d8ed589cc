# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed streams, told apart by their first bytes: gzip, xz, bzip2, zstd.

All are expanded in this process, a bounded piece at a time, so that a small file that expands to petabytes costs no
memory. Only zstd may need the host's program, where Python has no module for it (before 3.14).
"""

from __future__ import annotations

import os
import signal
from typing import Any, Protocol

from ..core.errors import BadImage, HostLacks
from .tarstream import CHUNK, Readable

MAGIC = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "bzip2": b"BZh", "zstd": b"\x28\xb5\x2f\xfd"}
MAGIC_SIZE = max(map(len, MAGIC.values()))
XZ_MEMORY = 128 * 2**20  # xz -9 needs 65 MiB
ZSTD_PATHS = ("/usr/bin/zstd", "/bin/zstd", "/usr/local/bin/zstd")


def detect(head: bytes) -> str:
    """The name of the compression that `head` begins, empty when it is none of those known here."""
    return next((name for name, magic in MAGIC.items() if head.startswith(magic)), "")


class _Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's object in the shape of the others."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        expanded: bytes = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        return expanded


class Expanded:
    """What a compressed stream expands to. Several members in a row are one stream, as the tools have it."""

    def __init__(self, source: Readable, kind: str) -> None:
        self._source = source
        self._kind = kind
        self._decompressor = _decompressor(kind)
        self._pending = b""
        self._started = False

    def read(self, size: int) -> bytes:
        while True:
            if self._decompressor.eof and not self._next_member():
                return b""
            data = self._more_input()
            try:
                expanded: bytes = self._decompressor.decompress(data, size)
            except Exception as exc:  # each module has an error class of its own
                raise BadImage(f"the {self._kind} data is damaged: {exc}") from exc
            if expanded:
                return expanded

    def _more_input(self) -> bytes:
        data, self._pending = self._pending, b""
        if not data and self._decompressor.needs_input:
            data = self._source.read(CHUNK)
            if not data:
                raise BadImage(f"the {self._kind} data is cut short")
        return data

    def _next_member(self) -> bool:
        """Go on to the next member, if there is one. Zeros behind the last are padding; anything else is refused."""
        rest = self._decompressor.unused_data
        while True:
            rest = rest.lstrip(b"\0") if rest[:1] == b"\0" else rest
            if len(rest) >= MAGIC_SIZE:
                break
            more = self._source.read(CHUNK)
            if not more:
                break
            rest += more
        if not rest:
            return False
        if detect(rest) != self._kind:
            raise BadImage(f"there is something else behind the {self._kind} data")
        self._decompressor, self._pending = _decompressor(self._kind), rest
        return True


def _decompressor(kind: str) -> Any:
    try:
        if kind == "gzip":
            return _Gzip()
        if kind == "xz":
            import lzma

            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
        if kind == "bzip2":
            import bz2

            return bz2.BZ2Decompressor()
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]

        return zstd.ZstdDecompressor()
    except ImportError as exc:
        raise HostLacks(f"this host's Python cannot read {kind}: {exc}", hint="compress the image with gzip") from exc


def has_zstd_module() -> bool:
    """Whether Python itself reads zstd (3.14)."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        return False
    return True


class HostZstd:
    """`zstd -dc` of a file, read through a pipe. The program is killed when the reader stops early."""

    def __init__(self, fd: int) -> None:
        program = next((path for path in ZSTD_PATHS if os.access(path, os.X_OK)), None)
        if program is None:
            raise HostLacks("zstd images need the program zstd here", hint="install the package zstd, or use gzip")
        self._read, write = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, fd, 0), (os.POSIX_SPAWN_DUP2, write, 1)]
        null = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
        try:
            argv = [program, "-dcq", "--no-progress", "--memory=128MB"]
            self._pid = os.posix_spawn(program, argv, {"LC_ALL": "C"}, file_actions=[*actions, null])
        finally:
            os.close(write)

    def read(self, size: int) -> bytes:
        data = os.read(self._read, size)
        if not data and self._reap() != 0:
            raise BadImage("the zstd data is damaged or cut short")
        return data

    def close(self) -> None:
        """End the program, whether it has finished or not."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()
        os.close(self._read)

    def _reap(self) -> int:
        if not self._pid:
            return 0
        _pid, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)
