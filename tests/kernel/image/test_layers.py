# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers on layers, as a container sees them: what the corpus says, and what umoci makes of the same image."""

from __future__ import annotations

import io
import os
import resource
import stat
import struct
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Limits
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from corpus import BLOCK, CHAR, DIR, FIFO, HARD, LAYERED, link, tree, x, xattr
from laboratory import Lab
from rawtar import archive, member
from trees import by_umoci, difference, looks, merged, write_layout


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    os.chmod(tmp_path, 0o755)
    return Lab(tmp_path)


@contextmanager
def unpacked(lab: Lab, layers: Sequence[bytes]) -> Iterator[Path]:
    """The layers on each other, as a container sees them."""
    with Workspace(lab.paths) as work:
        directories: list[str] = []
        for layer in layers:
            directories.append(take_in(io.BytesIO(layer), work, below=tuple(directories)).directory)
        with merged(directories, lab.canary.with_name("seen")) as root:
            yield root


@pytest.mark.parametrize("case", LAYERED)
def test_layers(lab: Lab, case: str) -> None:
    layers, seen = [archive(*members) for members in LAYERED[case].layers], LAYERED[case].seen
    theirs, why = by_umoci(write_layout(lab.canary.with_name("layout"), layers), lab.canary.with_name("theirs"))
    if seen is None:
        with pytest.raises(BadImage), unpacked(lab, layers):
            pass
        assert theirs is None
        return
    assert theirs, why
    with unpacked(lab, layers) as root:
        assert tree(root) == tree(theirs) == seen
        assert {path.name for path in root.rglob("*") if not os.path.lexists(path)} == set()


def test_a_directory_that_is_only_passed_is_as_the_one_below(lab: Lab) -> None:
    below = [
        xattr("user.note", b"hello"),
        member("d", DIR, mode=0o1777, uid=5, gid=6, mtime=12345),
        member("d/e", DIR, mode=0o2750, uid=7, mtime=54321),
    ]
    with unpacked(lab, [archive(*below), archive(x("d/e/f", mode=0o600))]) as root:
        found = {path: (root / path).stat() for path in ("d", "d/e")}
        assert [stat.S_IMODE(one.st_mode) for one in found.values()] == [0o1777, 0o2750]
        assert [(one.st_uid, one.st_gid, one.st_mtime) for one in found.values()] == [(5, 6, 12345), (7, 0, 54321)]
        assert os.getxattr(root / "d", "user.note") == b"hello"


def test_what_is_copied_from_below_counts(lab: Lab) -> None:
    """A layer of a few names may not have all copied that is below it, or a small image fills a disk."""
    names = [f"f{number}" for number in range(4)]
    limits = Limits(size=3 * 4096)
    with Workspace(lab.paths) as work:
        below = tuple(
            take_in(io.BytesIO(archive(*(x(name, b"y" * 4096) for name in pair))), work, limits=limits).directory
            for pair in (names[:2], names[2:])
        )
        three = archive(*(link(f"d{name}", name, HARD) for name in names[:3]))
        assert take_in(io.BytesIO(three), work, below=below, limits=limits)
        with pytest.raises(BadImage, match="unpacks to more"):
            take_in(
                io.BytesIO(archive(*(link(f"d{name}", name, HARD) for name in names))), work, below=below, limits=limits
            )


def test_access_lists(lab: Lab) -> None:
    """As umoci has them; posix_acl_xattr.h: version 2, then tag, permissions and id of each entry."""
    entries = ((1, 6, -1), (2, 7, 1000), (4, 4, -1), (0x10, 7, -1), (0x20, 0, -1))
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    members = [
        xattr("system.posix_acl_access", value) + x("f", mode=0o670),
        xattr("system.posix_acl_access", value) + member("d", DIR, mode=0o770),
        x("d/f"),
    ]
    layers = [archive(*members), archive(x("d/g"))]
    theirs, why = by_umoci(write_layout(lab.canary.with_name("layout"), layers), lab.canary.with_name("theirs"))
    assert theirs, why
    with unpacked(lab, layers) as root:
        assert difference(looks(root), looks(theirs)) == []
        assert os.getxattr(root / "f", "system.posix_acl_access") == value
    broken = [archive(xattr("system.posix_acl_access", b"x") + x("f"))]
    with pytest.raises(BadImage, match="is refused by the file system"), unpacked(lab, broken):
        pass


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
        x("earliest", mtime=-(2**62)),
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
    assert (root / "early").stat().st_mtime == -5
    assert (root / "earliest").stat().st_mtime == -(2**31)
    lab.close()


def test_memory_stays_flat(lab: Lab, tmp_path: Path) -> None:
    """A process of its own, allowed 64 MiB more, meets a large file, many directories and many links."""
    with open(tmp_path / "many.tar", "wb") as handle:
        handle.writelines(member("zeros", data=bytes(2**20)) for _number in range(64))
        handle.writelines(member(f"d{number:06}", DIR) for number in range(3_000))
        handle.writelines(link(f"l{number:06}", f"l{number + 1:06}") for number in range(3_000))
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
