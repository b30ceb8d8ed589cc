# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar archives, right and wrong, as a stream of entries."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.image.tarheader import EARLIEST, LATEST, parse_pax
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import DEFAULTS, Entry, Limits, TarStream
from ansible_collections.mini.containers.plugins.module_utils.image.tarwriter import END, header, padding
from rawtar import HUGE, archive, long, member, octal, pad, pax, record


def read(data: bytes, limits: Limits = DEFAULTS) -> list[tuple[Entry, bytes]]:
    stream = TarStream(io.BytesIO(data), limits)
    return [(entry, b"".join(stream.content())) for entry in stream]


def only(data: bytes) -> tuple[Entry, bytes]:
    ((entry, content),) = read(data)
    return entry, content


def test_plain_file() -> None:
    entry, content = only(archive(member("a/b", data=b"hello", mode=0o4755, uid=7, gid=8)))
    assert (entry.name, entry.mode, entry.uid, entry.gid, entry.size, content) == (b"a/b", 0o4755, 7, 8, 5, b"hello")
    assert entry.mtime_ns == 1000 * 10**9


def test_content_may_be_left_unread() -> None:
    stream = TarStream(io.BytesIO(archive(member("a", data=b"x" * 5000), member("b"))))
    assert [entry.name for entry in stream] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (member("n", prefix="p" * 155), b"p" * 155 + b"/n"),
        (member("n", prefix="p", magic=b"ustar  \0"), b"n"),
        (member("n", magic=b""), b"n"),
        (long("x" * 300) + member("short"), b"x" * 300),
        (pax({"path": "y" * 300}) + member("short"), b"y" * 300),
        (long("x" * 300) + pax({"path": "y"}) + member("short"), b"y"),
        (pax({"path": b"\xff\xfe\xc0\xaf"}) + member("short"), b"\xff\xfe\xc0\xaf"),
        (pax({"path": "new\nline %s \u202e"}) + member("short"), "new\nline %s \u202e".encode()),
        (pax({"comment": "x"}, kind=b"g") + member("n"), b"n"),
        (pax({"path": ""}) + member("n"), b"n"),
        (pax({"path": "a"}) + pax({"path": "b"}) + member("n"), b"b"),
        (pax({"path": "a"}) + pax({"uid": "7"}) + member("n"), b"n"),
    ],
)
def test_names(data: bytes, name: bytes) -> None:
    assert only(archive(data))[0].name == name


def test_extended_header_counts_once() -> None:
    first, second = read(archive(pax({"path": "a", "uid": "5"}), member("n"), member("m")))
    assert (first[0].name, first[0].uid, second[0].name, second[0].uid) == (b"a", 5, b"m", os.getuid())


def test_long_link() -> None:
    entry, _content = only(archive(long("t" * 300, b"K"), member("n", b"2", link="short")))
    assert entry.link == b"t" * 300


def test_old_directory() -> None:
    assert only(archive(member("d/", b"\0")))[0].kind == b"5"


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ("1.5", 1_500_000_000),
        ("1", 10**9),
        ("0.000000001999", 1),
        ("-5", -5 * 10**9),
        ("-0.5", -(10**9) // 2),
        ("-" + "9" * 19, EARLIEST * 10**9),
        ("nan", 0),
        ("inf", 0),
        ("1e9", 0),
        ("9" * 19, LATEST * 10**9),
        ("", 1000 * 10**9),
    ],
)
def test_times(value: str, nanoseconds: int) -> None:
    assert only(archive(pax({"mtime": value}), member("n")))[0].mtime_ns == nanoseconds


@pytest.mark.parametrize("mtime", [-(2**63), -1, 2**62, 253402300800])
def test_times_in_the_header_are_clamped(mtime: int) -> None:
    assert EARLIEST * 10**9 <= only(archive(member("n", mtime=mtime)))[0].mtime_ns <= LATEST * 10**9


@pytest.mark.parametrize("value", [0, 2**31, 2**32 - 2])
def test_owners(value: int) -> None:
    assert only(archive(member("n", uid=value)))[0].uid == value
    assert only(archive(pax({"gid": str(value)}), member("n")))[0].gid == value


SPARSE_TAIL = ((386, b"%011o\0%011o\0" % (0, 0)), (483, octal(2**40, 12)))

WRONG: dict[str, bytes] = {
    "empty": b"",
    "not a tar": b"hello" * 1000,
    "checksum": b"x" + member("abc")[1:] + bytes(1024),
    "negative size": archive(member("n", size=-1)),
    "base 256 size": archive(member("n", **HUGE)),
    "octal garbage": archive(member("n", size=b"0000009000\0")),
    "size with a sign": archive(member("n", size=b"-0000000001\0")),
    "underscore": archive(member("n", size=b"0_1\0")),
    "uid -1": archive(member("n", uid=-1)),
    "uid 2^32": archive(member("n", uid=2**32)),
    "gid 2^32-1": archive(pax({"gid": str(2**32 - 1)}), member("n")),
    "pax uid sign": archive(pax({"uid": "+1"}), member("n")),
    "pax size": archive(pax({"size": "-1"}), member("n")),
    "pax size huge": archive(pax({"size": str(2**63)}), member("n")),
    "pax size beyond the end": archive(pax({"size": "4096"}), member("n", data=b"x")),
    "pax NUL in name": archive(pax({"path": b"a\0b"}), member("n")),
    "pax NUL in link": archive(pax({"linkpath": b"a\0b"}), member("n", b"2", link="x")),
    "pax record length": archive(pax(b"999 path=x\n"), member("n")),
    "pax record zero": archive(pax(b"0 path=x\n"), member("n")),
    "pax record without key": archive(pax(b"6 =x\n "), member("n")),
    "pax record without end": archive(pax(b"9 path=xy"), member("n")),
    "pax 2 MiB": archive(pax({"path": "x" * 2**21}), member("n")),
    "long name 2 MiB": archive(long("x" * 2**21), member("n")),
    "extension of 8 EiB": archive(member("pax", b"x", **HUGE)),
    "long path": archive(pax({"path": "a/" * 2048}), member("n")),
    "deep path": archive(pax({"path": "a/" * 1001 + "b"}), member("n")),
    "unknown type": archive(member("n", b"Z")),
    "volume label": archive(member("n", b"V")),
    "multi-volume": archive(member("n", b"M")),
    "no end mark": member("n"),
    "one block of zeros": member("n") + bytes(512),
    "zeros, then more": member("n") + bytes(512) + member("m") + bytes(1024),
    "sparse of 8 EiB": archive(pax({"GNU.sparse.map": "", "GNU.sparse.size": str(2**62)}), member("n")),
    "sparse 0.1 outside": archive(pax({"GNU.sparse.map": "0,9", "GNU.sparse.size": "5"}), member("n", data=b"x" * 9)),
    "sparse 0.1 overlap": archive(
        pax({"GNU.sparse.map": "0,5,2,4", "GNU.sparse.size": "9"}), member("n", data=b"x" * 9)
    ),
    "sparse 0.1 odd": archive(pax({"GNU.sparse.map": "0,5,2", "GNU.sparse.size": "9"}), member("n", data=b"x" * 5)),
    "sparse 0.1 short": archive(pax({"GNU.sparse.map": "0,5", "GNU.sparse.size": "9"}), member("n", data=b"x" * 9)),
    "sparse without size": archive(pax({"GNU.sparse.map": "0,5"}), member("n", data=b"x" * 5)),
    "sparse 1.0 map": archive(pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}), member("n", data=b"9" * 600)),
    "sparse 1.0 pieces": archive(
        pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}), member("n", data=pad(b"99999999\n"))
    ),
    "sparse old, 1 TiB": archive(member("n", b"S", magic=b"ustar  \0", tail=SPARSE_TAIL)),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused(case: str) -> None:
    with pytest.raises(BadImage):
        read(WRONG[case])


def test_truncated_anywhere() -> None:
    whole = archive(long("l" * 600), member("x", data=b"d" * 1300), pax({"path": "p"}), member("q", b"2", link="r"))
    for end in range(0, len(whole), 256):
        with pytest.raises(BadImage):
            read(whole[:end])
    assert len(read(whole)) == 2


def test_limits() -> None:
    many = archive(*(member(f"f{number}", data=b"x" * 100) for number in range(10)))
    assert len(read(many, Limits(entries=10, size=1000))) == 10
    with pytest.raises(BadImage, match="more than 9 entries"):
        read(many, Limits(entries=9))
    with pytest.raises(BadImage, match="999 bytes"):
        read(many, Limits(size=999))
    with pytest.raises(BadImage, match="entries"):
        read(pax({"comment": "x"}, kind=b"g") * 11 + many, Limits(entries=10))


def _expanded(entry: Entry, content: bytes) -> bytes:
    whole = bytearray(entry.size)
    for offset, length in entry.pieces:
        whole[offset : offset + length], content = content[:length], content[length:]
    return bytes(whole)


@pytest.mark.parametrize(
    "options",
    [["--format=gnu"], *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0"))],
)
@pytest.mark.parametrize("pieces", [1, 3, 30])
def test_sparse_files_of_gnu_tar(tmp_path: Path, options: list[str], pieces: int) -> None:
    holed = tmp_path / "holed"
    with open(holed, "wb") as handle:
        for number in range(pieces):
            handle.seek(1_000_000 * (number + 1))
            handle.write(b"piece %d" % number)
        handle.truncate(1_000_000 * (pieces + 2) + 7)
    command = ["tar", "-C", str(tmp_path), "-c", "--sparse", *options, "holed"]
    entry, content = only(subprocess.run(command, check=True, capture_output=True).stdout)
    assert entry.name == b"holed"
    assert len(content) < 10**6
    assert _expanded(entry, content) == holed.read_bytes()


def test_checksum_of_signed_bytes() -> None:
    block = bytearray(member(b"\xe4\xf6\xfc"))
    block[148:156] = b" " * 8
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert only(bytes(block) + bytes(1024))[0].name == b"\xe4\xf6\xfc"


def test_pax_records() -> None:
    assert parse_pax(record("a", "1\n2=3") + record("b", b"\xff")) == {b"a": b"1\n2=3", b"b": b"\xff"}
    assert parse_pax(record("a", "1") + bytes(100)) == {b"a": b"1"}


WRITTEN: list[dict[str, Any]] = [
    {"name": b"plain", "kind": b"0", "size": 5},
    {"name": b"n" * 101, "kind": b"0"},
    {"name": b"\xff/" * 90, "kind": b"5"},
    {"name": b"link", "kind": b"2", "link": b"t" * 300},
    {"name": b"device", "kind": b"3", "major": 1, "minor": 3},
    {"name": b"owned", "kind": b"0", "uid": 2**32 - 2, "gid": 2**21},
    {"name": b"labelled", "kind": b"0", "xattrs": {"security.capability": b"\0\n=\xff", "user.x": b"y"}},
]


@pytest.mark.parametrize("fields", WRITTEN, ids=lambda fields: fields["name"][:9].decode(errors="replace"))
def test_what_we_write_is_read(fields: dict[str, Any]) -> None:
    entry = Entry(**{"mode": 0o640, "uid": 1, "gid": 2, "mtime_ns": 10**18, **fields})
    data = header(entry) + bytes(entry.size) + padding(entry.size) + END
    found, _content = only(data)
    pieces = ((0, entry.size),) if entry.size else ()
    assert found == Entry(**{**entry.__dict__, "pieces": pieces})
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as other:
        (known,) = other.getmembers()
    assert known.name.encode("utf-8", "surrogateescape") == entry.name.rstrip(b"/")
    assert (known.uid, known.gid, known.mode, known.mtime) == (entry.uid, entry.gid, entry.mode, 10**9)
