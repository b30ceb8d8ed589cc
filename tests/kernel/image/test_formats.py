# SPDX-License-Identifier: GPL-3.0-or-later
"""One tree with all that a tree can have, as every tar writes it: unpacked by us, by umoci, and as it was."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.image.diff import pack
from laboratory import Lab
from trees import Look, by_umoci, difference, looks, write_layout

LONG = "n" * 150
SECOND = 10**9
PAX = ["--format=posix", "--xattrs", "--xattrs-include=*"]
COMMANDS = {
    **{
        f"pax, sparse {version}": [*PAX, "--sparse", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")
    },
    "pax": PAX,
    "pax, binary names": [*PAX, "--pax-option=hdrcharset:=BINARY"],
    "gnu": ["--format=gnu"],
    "gnu, sparse": ["--format=gnu", "--sparse"],
    "old gnu, sparse": ["--format=oldgnu", "--sparse"],
}


def grow(root: Path) -> None:
    """Everything: kinds, modes, owners, times, attributes, holes, names."""
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "f").write_text("hello")
    os.link(root / "d" / "e" / "f", root / "d" / "second")
    (root / "d" / "up").symlink_to("../../../etc")
    (root / "d" / "from the root").symlink_to("/usr/lib")
    (root / "long link").symlink_to("a/" * 90)
    (root / LONG / LONG).mkdir(parents=True)
    (root / LONG / LONG / LONG).write_text("far")
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", 0o20666, os.makedev(1, 3))
    os.mknod(root / "disk", 0o60660, os.makedev(259, 70000))
    for number, pieces in enumerate(((), (0,), (10**6,), range(0, 9 * 10**6, 300_000))):
        with open(root / f"holes {number}", "wb") as file:
            for piece in pieces:
                file.seek(piece)
                file.write(b"piece")
            file.truncate(10**7)
    for name in (b"\xff\xfe", b"\xc3\xbc", b"new\nline", b"100%", "\u202ertl".encode()):
        Path(os.fsdecode(os.path.join(os.fsencode(root), name))).write_text("x")
    (root / "program").write_bytes(b"#!" * 999)
    _dress(root)


def _dress(root: Path) -> None:
    os.chown(root / "program", 5, 6)
    os.chmod(root / "program", 0o6755)
    os.setxattr(root / "program", "security.capability", struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0))
    os.setxattr(root / "d", "user.note", b"hello\0\xff")
    os.chmod(root / "d", 0o1777)
    os.chown(root / "d" / "e", 3_000_000, 2**32 - 2)
    os.chown(root / "d" / "up", 7, 8, follow_symlinks=False)
    os.utime(root / "d" / "up", ns=(0, 10**18 + 5 * 10**8), follow_symlinks=False)
    os.utime(root / "d" / "second", ns=(0, 10**18 + 123456789))
    os.utime(root / "pipe", (0, 2**31 + 7))
    os.utime(root / "d" / "e", ns=(0, 0))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    os.chmod(tmp_path, 0o755)
    (tmp_path / "tree").mkdir()
    grow(tmp_path / "tree")
    return Lab(tmp_path)


def by_tar(options: list[str]) -> Callable[[Path], bytes]:
    def write(root: Path) -> bytes:
        command = ["tar", "-C", str(root), "--numeric-owner", "--sort=name", "-c", *options, "."]
        return subprocess.run(command, check=True, capture_output=True).stdout

    return write


def by_python(form: int) -> Callable[[Path], bytes]:
    def write(root: Path) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=form, errors="surrogateescape") as archive:
            archive.add(root, ".")
        return packed.getvalue()

    return write


WRITERS: dict[str, Callable[[Path], bytes]] = {
    **{name: by_tar(options) for name, options in COMMANDS.items()},
    "python gnu": by_python(tarfile.GNU_FORMAT),
    "python pax": by_python(tarfile.PAX_FORMAT),
    "ours": lambda root: b"".join(pack(str(root))),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_formats(lab: Lab, writer: str) -> None:
    source = lab.canary.with_name("tree")
    raw = WRITERS[writer](source)
    root = lab.unpack(gzip.compress(raw, 1))
    found = looks(root)
    theirs, why = by_umoci(write_layout(lab.canary.with_name("layout"), [raw]), lab.canary.with_name("theirs"))
    if writer in ("gnu, sparse", "old gnu, sparse"):
        assert theirs is None  # umoci does not know GNU's own sparse files
    else:
        assert theirs, why
        assert difference(found, looks(theirs)) == []
    kept = KEPT.get(writer, lambda look: look)
    assert difference(shown(found, kept), shown(looks(source), kept)) == []
    assert holes(root) == (holes(source) if "sparse" in writer else [])
    lab.close()


def _whole_seconds(look: Look) -> Look:
    return look._replace(mtime_ns=look.mtime_ns // SECOND * SECOND)


def _no_attributes(look: Look) -> Look:
    return _whole_seconds(look)._replace(xattrs={})


def _no_times(look: Look) -> Look:
    return look._replace(mtime_ns=0, xattrs={})


# What a writer keeps, where that is not all. Python writes times as floating point numbers.
KEPT: dict[str, Callable[[Look], Look]] = {
    **dict.fromkeys(("gnu", "gnu, sparse", "old gnu, sparse", "python gnu"), _no_attributes),
    "python pax": _no_times,
    "ours": _whole_seconds,
}


def shown(tree: dict[bytes, Look], kept: Callable[[Look], Look]) -> dict[bytes, Look]:
    """A tree, as far as its writer kept it."""
    return {path: kept(look) for path, look in tree.items()}


def holes(root: Path) -> list[str]:
    """The files that take less room than they claim."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(path.name for path in files if path.stat().st_blocks * 512 < path.stat().st_size)
