# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed streams, whole, damaged and malicious."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, HostLacks
from ansible_collections.mini.containers.plugins.module_utils.image import compression
from ansible_collections.mini.containers.plugins.module_utils.image.compression import Expanded, HostZstd, detect
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Readable

CONTENT = b"".join(os.urandom(1000) + bytes(1000) for _number in range(2000))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
PACKED = {kind: compress(CONTENT) for kind, compress in COMPRESS.items()}


def drain(stream: Readable, size: int = 65536) -> bytes:
    parts = []
    while True:
        data = stream.read(size)
        if not data:
            return b"".join(parts)
        assert len(data) <= size
        parts.append(data)


def expand(kind: str, packed: bytes, size: int = 65536) -> bytes:
    return drain(Expanded(io.BytesIO(packed), kind), size)


@pytest.mark.parametrize("kind", PACKED)
def test_whole(kind: str) -> None:
    assert detect(PACKED[kind]) == kind
    assert expand(kind, PACKED[kind]) == CONTENT
    assert expand(kind, PACKED[kind], 999) == CONTENT


@pytest.mark.parametrize("kind", PACKED)
def test_members_in_a_row(kind: str) -> None:
    small = COMPRESS[kind](b"small")
    assert expand(kind, small + PACKED[kind] + small + bytes(512)) == b"small" + CONTENT + b"small"


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("behind", [b"garbage", b"\0\0x", b"<html>" * 1000])
def test_something_behind(kind: str, behind: bytes) -> None:
    with pytest.raises(BadImage):
        expand(kind, PACKED[kind] + behind)


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_cut_short(kind: str, part: float) -> None:
    packed = PACKED[kind]
    with pytest.raises(BadImage):
        expand(kind, packed[: max(int(len(packed) * part), 6)])
    with pytest.raises(BadImage):
        expand(kind, packed[:-1])


@pytest.mark.parametrize("kind", PACKED)
def test_damaged(kind: str) -> None:
    middle = len(PACKED[kind]) // 2
    with pytest.raises(BadImage):
        expand(kind, PACKED[kind][:middle] + bytes(64) + PACKED[kind][middle + 64 :])


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_comes_in_pieces(kind: str) -> None:
    bomb = COMPRESS[kind](bytes(64 * 2**20))
    stream = Expanded(io.BytesIO(bomb), kind)
    assert len(stream.read(1000)) <= 1000


def test_nothing_is_expanded_twice() -> None:
    nested = gzip.compress(PACKED["gzip"])
    assert expand("gzip", nested) == PACKED["gzip"]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, check=True, capture_output=True).stdout


def host_zstd(tmp_path: Path, packed: bytes) -> HostZstd:
    path = tmp_path / "x.zst"
    path.write_bytes(packed)
    with open(path, "rb") as handle:
        return HostZstd(handle.fileno())


def test_zstd(tmp_path: Path) -> None:
    assert detect(zstd(CONTENT)) == "zstd"
    program = host_zstd(tmp_path, zstd(CONTENT) + zstd(b"more"))
    assert drain(program) == CONTENT + b"more"
    program.close()


def test_zstd_ends_with_its_reader(tmp_path: Path) -> None:
    program = host_zstd(tmp_path, zstd(CONTENT))
    program.read(10)
    pid = program._pid
    program.close()
    assert not os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize(
    "change", [lambda data: data[:-9], lambda data: data + b"garbage", lambda data: data[:100] + bytes(100)]
)
def test_zstd_damaged(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    program = host_zstd(tmp_path, change(zstd(CONTENT)))
    with pytest.raises(BadImage):
        drain(program)
    program.close()


def test_zstd_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "ZSTD_PATHS", ())
    with pytest.raises(HostLacks, match="install the package zstd"):
        host_zstd(tmp_path, zstd(b""))
