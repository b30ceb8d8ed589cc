# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that want out of their layer, or more than their share: refused without a trace, or contained.

Each case is unpacked beside a canary, a tree that stands for the host's. Links in the archives point at it by its
absolute path, and as deep as `..` goes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import resource
import stat
import struct
import subprocess
import traceback
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Limits
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from rawtar import HUGE, archive, long, member, pax

FILE, HARD, LINK, CHAR, BLOCK, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
CANARY = "{canary}"
UP = "../" * 30
SMALL = Limits(size=2**20, entries=2000, remembered=10**5, padding=2**20)


def x(name: str | bytes, data: bytes = b"x", **fields: Any) -> bytes:
    return member(name, FILE, data, **fields)


def link(name: str, target: str, kind: bytes = LINK) -> bytes:
    return member(name, kind, link=target) if len(target) < 100 else long(target, b"K") + member(name, kind, link="x")


def xattr(name: str, value: bytes) -> bytes:
    return pax({f"SCHILY.xattr.{name}": value})


def chain(depth: int, canary: Path) -> list[bytes]:
    """Directories and links that expand to more than PATH_MAX, with `..` at their end."""
    component = "d" * 240
    members, path = [], ""
    for letter in "abcdefghijklmnop"[:depth]:
        members += [
            pax({"path": f"{path}{component}"}),
            member("d", DIR),
            long(f"{path}{letter}"),
            link("l", component),
        ]
        path += f"{letter}/"
    members += [long(f"{path}escape"), link("l", "../" * 30), long(f"{path}escape{canary}/out"), x("out")]
    return members


REFUSED: dict[str, list[bytes]] = {
    "1 dot-dot": [x("../x")],
    "1 dot-dot behind a directory": [x("a/../../x")],
    "1 dot-dot alone": [member("..", DIR)],
    "4 a link to itself": [link("loop", "loop"), x("loop/x")],
    "4 a thousand links": [*(link(f"l{n}", f"l{n + 1}") for n in range(1000)), x("l0/x")],
    "3 through a link to nothing": [link("d", "/nowhere"), x("d/f")],
    "5 hard link to the host": [link("s", CANARY + "/secret", HARD)],
    "5 hard link up": [link("s", UP + "etc/passwd", HARD)],
    "5 hard link to nothing": [link("s", "missing", HARD)],
    "5 hard link to a directory": [member("d", DIR), link("s", "d", HARD)],
    "5 hard link to the root": [link("s", ".", HARD)],
    "5 hard link through a link": [link("d", CANARY), link("s", "d/secret", HARD)],
    "6 overlay whiteout": [member("w", CHAR, major=0, minor=0)],
    "6 no such device": [member("w", CHAR, major=2**20, minor=0)],
    "7 unknown type": [member("n", b"Q")],
    "9 overlay attribute": [xattr("trusted.overlay.opaque", b"y"), member("d", DIR)],
    "9 overlay attribute of a user": [xattr("user.overlay.redirect", b"/"), member("d", DIR)],
    "9 a value of 65 KiB": [xattr("user.big", b"x" * 66560), x("f")],
    "11 sparse of 8 EiB": [pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**62)}), x("f")],
    "11 a file of 8 EiB": [member("f", **HUGE)],
    "11 negative": [member("f", size=-512)],
    "12 too many entries": [x(f"f{n}") for n in range(2001)],
    "12 too deep": [pax({"path": "d/" * 100_000}), x("f")],
    "12 names of directories": [b"".join((pax({"path": f"{n}" + "d" * 200}), member("d", DIR))) for n in range(900)],
    "12 too much": [x(f"f{n}", bytes(2**19)) for n in range(3)],
    "13 below a file": [x("f"), x("f/g")],
    "14 whiteout of nothing": [x(".wh.")],
    "14 whiteout of the directory": [x("d/.wh..")],
    "14 whiteout of the parent": [x("d/.wh...")],
    "14 whiteout with a way out": [x("a/.wh.x/../../../y")],
    "14 inside of a whiteout": [x(".wh.d/f")],
    "18 256 bytes": [pax({"path": "n" * 256}), x("f")],
    "18 NUL": [pax({"path": b"a\0b"}), x("f")],
    "19 uid -1": [x("f", uid=-1)],
    "19 uid 2^32": [x("f", uid=2**32)],
    "19 uid 2^32-1": [x("f", uid=2**32 - 1)],
    "19 gid huge": [pax({"gid": "9" * 18}), x("f")],
}

# What is there afterwards: a file's content, a link's "-> target", or a directory's "".
Tree = dict[str, str]
PLACED: dict[str, tuple[list[bytes], Tree]] = {
    "1 leading slashes": ([x("/a"), x("//b"), x("./c"), x("d/./../e")], {"a": "x", "b": "x", "c": "x", "e": "x"}),
    "1 the root itself": ([member(".", DIR, mode=0o700), member("./", DIR), x("a")], {"a": "x"}),
    "2 links verbatim": (
        [link("a", "/usr/lib"), link("b", UP + "etc"), link("c", CANARY)],
        {"a": "-> /usr/lib", "b": "-> " + UP + "etc", "c": "-> " + CANARY},
    ),
    "3 through an absolute link": (
        [link("d", "/host"), member("host", DIR), x("d/f")],
        {"d": "-> /host", "host": "", "host/f": "x"},
    ),
    "3 through a link up": (
        [link("d", UP + "host"), member("host", DIR), x("d/f")],
        {"d": "-> " + UP + "host", "host": "", "host/f": "x"},
    ),
    "3 through a link in the middle": (
        [member("usr/lib", DIR), link("lib", "usr/lib"), x("lib/sub/f")],
        {"usr": "", "usr/lib": "", "lib": "-> usr/lib", "usr/lib/sub": "", "usr/lib/sub/f": "x"},
    ),
    "5 hard link to a link": (
        [link("a", CANARY + "/secret"), link("b", "a", HARD)],
        {"a": "-> " + CANARY + "/secret", "b": "-> " + CANARY + "/secret"},
    ),
    "5 hard link": ([x("d/a", b"one"), link("b", "/d/../d/a", HARD)], {"d": "", "d/a": "one", "b": "one"}),
    "5 hard link to itself": ([x("a", b"one"), link("a", "a", HARD)], {"a": "one"}),
    "7 contiguous and global": ([pax({"path": "no"}, kind=b"g"), member("a", b"7", b"one")], {"a": "one"}),
    "7 sparse": (
        [pax({"GNU.sparse.map": "2,3", "GNU.sparse.size": "6"}), member("a", FILE, b"one")],
        {"a": "\0\0one\0"},
    ),
    "13 file, file": ([x("a", b"one"), x("a", b"two")], {"a": "two"}),
    "13 file, directory": ([x("a"), member("a", DIR)], {"a": ""}),
    "13 directory, link": ([member("a", DIR), x("a/b/c"), link("a", CANARY)], {"a": "-> " + CANARY}),
    "13 link, file": ([link("a", CANARY + "/secret"), x("a", b"two")], {"a": "two"}),
    "13 link, directory": ([link("a", CANARY), member("a", DIR), x("a/f")], {"a": "", "a/f": "x"}),
    "13 directory, directory": ([member("a", DIR), x("a/f"), member("a", DIR, mode=0o700)], {"a": "", "a/f": "x"}),
    "13 hard link, then its target anew": (
        [x("a", b"one"), link("b", "a", HARD), x("a", b"two")],
        {"a": "two", "b": "one"},
    ),
    "14 whiteouts at the bottom": ([x(".wh.gone"), x("d/.wh..wh..opq"), x("d/f")], {"d": "", "d/f": "x"}),
    "16 aufs's own": ([x(".wh..wh.plnk/7"), x(".wh..wh.aufs"), x("a")], {"a": "x"}),
    "18 names": (
        [pax({"path": name}) + x("f") for name in ("n" * 255, "a\nb", "%s", "\u202ex", b"\xff\xfe", b"\xc0\xaf")],
        {
            **dict.fromkeys(("n" * 255, "a\nb", "%s", "\u202ex"), "x"),
            os.fsdecode(b"\xff\xfe"): "x",
            os.fsdecode(b"\xc0\xaf"): "x",
        },
    ),
    "28 case and normal forms": (
        [x("A"), x("a"), x("\u00e9"), x("e\u0301")],
        dict.fromkeys(("A", "a", "\u00e9", "e\u0301"), "x"),
    ),
}


class Lab:
    """A state root and a canary."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.canary = directory / "canary"
        self.canary.mkdir()
        (self.canary / "secret").write_text("the host's")
        self.before = self.look()

    def look(self) -> Any:
        """All of the canary that a layer could change."""
        found = [self.canary, *self.canary.rglob("*")]
        return [(str(path), path.lstat()[:3], path.lstat().st_nlink, path.lstat().st_ctime_ns) for path in found]

    def unpack(self, data: bytes, **options: Any) -> Path:
        """Into a workspace that stays until the test ends; `work` is where."""
        self.work = Workspace(self.paths)
        self.work.__enter__()
        try:
            return Path(take_in(io.BytesIO(data), self.work, **options).directory)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The workspace goes, with nothing of it left, and the canary is as it was."""
        self.work.__exit__(None, None, None)
        assert os.listdir(self.paths.layers) == ["tmp"]
        assert os.listdir(os.path.join(self.paths.layers, "tmp")) == []
        assert self.look() == self.before


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    os.chmod(tmp_path, 0o755)
    return Lab(tmp_path)


def aimed(members: list[bytes], lab: Lab) -> bytes:
    """The archive with its links aimed at the canary."""
    return archive(*(_aim(item, str(lab.canary)) for item in members))


def _aim(item: bytes, target: str) -> bytes:
    if CANARY.encode() not in item:
        return item
    name = item[:100].rstrip(b"\0")
    wanted = item[157:257].rstrip(b"\0").replace(CANARY.encode(), target.encode())
    return long(wanted, b"K") + member(name, item[156:157], link="x")


def tree(root: Path, canary: str = "") -> Tree:
    """A directory in the terms of the tables."""
    return {os.path.relpath(path, root): _show(path).replace(canary or "\1", CANARY) for path in root.rglob("*")}


def _show(path: Path) -> str:
    if path.is_symlink():
        return "-> " + os.readlink(path)
    return path.read_text() if path.is_file() else ""


@pytest.mark.parametrize("case", REFUSED)
def test_refused(lab: Lab, case: str) -> None:
    with pytest.raises(BadImage) as caught:
        lab.unpack(aimed(REFUSED[case], lab), limits=SMALL)
    str(caught.value).encode()  # a task's result is JSON


@pytest.mark.parametrize("case", PLACED)
def test_placed(lab: Lab, case: str) -> None:
    members, expected = PLACED[case]
    root = lab.unpack(aimed(members, lab))
    assert tree(root, str(lab.canary)) == expected
    assert stat.S_IMODE(root.stat().st_mode) == 0o755
    lab.close()


def test_nothing_is_unpacked_before_the_end_is_seen(lab: Lab) -> None:
    whole = archive(x("a", b"y" * 1000), member("d", DIR), x("d/b"))
    for end in range(0, len(whole), 512):
        with pytest.raises(BadImage):
            lab.unpack(whole[:end])
    packed = gzip.compress(whole)
    for end in range(0, len(packed) - 1, 7):
        with pytest.raises(BadImage):
            lab.unpack(packed[:end])
    lab.unpack(packed)
    lab.close()


def test_attributes(lab: Lab) -> None:
    capability = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
    members = [
        xattr("security.capability", capability) + x("ping", uid=5, gid=6, mode=0o6755),
        xattr("user.note", b"hello\0") + member("d", DIR, mode=0o1777, mtime=12345),
        x("d/f"),
        xattr("security.selinux", b"system_u:object_r:shadow_t:s0") + x("labelled"),
        xattr("security.ima", b"\1" * 20) + x("measured"),
        xattr("trusted.other", b"x") + x("trusted"),
        member("null", CHAR, major=1, minor=3, mode=0o666),
        member("disk", BLOCK, major=8, minor=0, mode=0o660, gid=6),
        member("pipe", FIFO, mode=0o600),
        link("l", "target"),
        x("late", mtime=2**62),
        x("early", mtime=-5),
    ]
    root = lab.unpack(archive(*members))
    ping = (root / "ping").stat()
    assert (ping.st_uid, ping.st_gid, stat.S_IMODE(ping.st_mode)) == (5, 6, 0o6755)
    assert os.getxattr(root / "ping", "security.capability") == capability
    assert os.getxattr(root / "d", "user.note") == b"hello\0"
    assert (stat.S_IMODE((root / "d").stat().st_mode), (root / "d").stat().st_mtime) == (0o1777, 12345)
    assert [os.listxattr(root / name) for name in ("labelled", "measured", "trusted")] == [[], [], []]
    assert stat.S_ISCHR((root / "null").stat().st_mode)
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISBLK((root / "disk").stat().st_mode)
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert stat.S_IMODE((root / "pipe").stat().st_mode) == 0o600
    assert (root / "l").lstat().st_mtime == 1000
    assert (root / "late").stat().st_mtime > 2**32
    assert (root / "early").stat().st_mtime == 0
    lab.close()


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_the_umask_does_not_matter(lab: Lab, umask: int) -> None:
    before = os.umask(umask)
    try:
        root = lab.unpack(archive(x("a/b/c", mode=0o666)))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")] == [0o755, 0o755, 0o666]
    lab.close()


def _overlay(path: Path) -> str:
    found = path.lstat()
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
        return "whiteout"
    return "opaque" if "trusted.overlay.opaque" in os.listxattr(path, follow_symlinks=False) else ""


@pytest.mark.parametrize("order", [1, -1])
def test_whiteouts_of_an_upper_layer(lab: Lab, order: int) -> None:
    members = [
        x(".wh.gone"),
        member("d", DIR),
        x("d/.wh..wh..opq"),
        x("d/kept"),
        x("missing/.wh..wh..opq"),
        x("both"),
        x(".wh.both"),
        x(".wh.again"),
        member("again", DIR),
        x("again/new"),
        link("alias", "d"),
        x("alias/.wh.old"),
    ]
    if order < 0:  # but for the link, which has to be there before something goes through it
        members = [members[10], *reversed(members[:10]), members[11]]
    root = lab.unpack(archive(*members), upper=True)
    found = {os.path.relpath(path, root): _overlay(path) for path in root.rglob("*") if not path.is_symlink()}
    assert found == {
        "gone": "whiteout",
        "d": "opaque",
        "d/kept": "",
        "d/old": "whiteout",
        "missing": "opaque",
        "both": "",
        "again": "opaque",
        "again/new": "",
    }
    lab.close()


@pytest.mark.parametrize("members", [[x("f"), x("f/.wh.a")], [x("f"), x("f/.wh..wh..opq")]])
def test_whiteouts_where_there_is_no_place_for_them(lab: Lab, members: list[bytes]) -> None:
    with pytest.raises(BadImage):
        lab.unpack(archive(*members), upper=True)


@pytest.mark.parametrize("where", [".wh..wh..opq", "./.wh..wh..opq"])
def test_an_opaque_root(lab: Lab, where: str) -> None:
    root = lab.unpack(archive(x(where), x("a")), upper=True)
    assert _overlay(root) == "opaque"
    lab.close()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zstd])
def test_bombs(lab: Lab, compress: Any) -> None:
    behind_the_end = compress(archive(x("a")) + bytes(2**25))
    one_file = compress(member("f", data=bytes(2**25)) + bytes(1024))
    for bomb in (one_file, behind_the_end):
        with pytest.raises(BadImage):
            lab.unpack(bomb, limits=SMALL)


def test_a_tar_may_be_padded(lab: Lab) -> None:
    data = archive(x("a")) + bytes(10240)
    root = lab.unpack(data)
    assert tree(root) == {"a": "x"}
    lab.close()


def test_digests_cover_every_byte(lab: Lab) -> None:
    for packed, plain in ((gzip.compress, False), (zstd, False), (lzma.compress, True), (bytes, True)):
        inner = archive(x("a")) + bytes(5000)
        data = packed(inner)
        with Workspace(lab.paths) as work:
            layer = take_in(io.BytesIO(data), work)
            expected = inner if plain else data
            assert layer.descriptor.digest == "sha256:" + hashlib.sha256(expected).hexdigest()
            assert layer.descriptor.size == len(expected)
            assert Path(layer.blob).read_bytes() == expected
            assert layer.diff_id == "sha256:" + hashlib.sha256(inner).hexdigest()


def test_memory_stays_flat(lab: Lab, tmp_path: Path) -> None:
    """A process of its own, allowed 64 MiB more, meets a large file, many directories and many links."""
    with open(tmp_path / "many.tar", "wb") as handle:
        handle.writelines(member("zeros", data=bytes(2**20)) for _number in range(128))
        handle.writelines(member(f"d{number:06}", DIR) for number in range(8_000))
        handle.writelines(link(f"l{number:06}", f"l{number + 1:06}") for number in range(8_000))
        handle.write(bytes(1024))
    child = os.fork()
    if not child:
        try:
            status = Path("/proc/self/status").read_text()
            used = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
            resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + 64 * 2**20,) * 2)
            with open(tmp_path / "many.tar", "rb", buffering=0) as archived, Workspace(lab.paths) as work:
                take_in(archived, work)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("depth", [2, 8, 15])
def test_links_that_expand_beyond_the_longest_path(lab: Lab, depth: int) -> None:
    """realpath(3) gives up on such a name; the kernel's own walk does not, and stays inside."""
    root = lab.unpack(archive(*chain(depth, lab.canary)))
    inside = root / str(lab.canary).lstrip("/") / "out"
    assert inside.read_text() == "x"
    assert sorted(path.name for path in lab.canary.iterdir()) == ["secret"]
    lab.close()
