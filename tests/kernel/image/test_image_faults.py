# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk, an end in the middle, many at once: the store is whole, and the next run finishes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine import reserve
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.converge import prune
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted
from ansible_collections.mini.containers.plugins.module_utils.image import layer as layers
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Entry
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from rawtar import archive, member

from .test_load import Host, Saved

MS_REMOUNT = 32
ROOMY = "size=4m,nr_inodes=10000"
FIRST = archive(*(member(f"d/{number}", data=bytes([number]) * 9000) for number in range(12)), member("gone"))
SECOND = archive(member(".wh.gone"), member("d/3", data=b"three"), *(member(f"e/{number}") for number in range(9)))


def whole(host: Host) -> None:
    """Nothing is half: each blob is what its name says, each image can be read, nothing waits to be swept."""
    blobs = Path(host.paths.image_layout, "blobs/sha256")
    for blob in blobs.iterdir() if blobs.is_dir() else ():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for image in host.store.images():
        assert host.store.missing_layers(image) == []
        for directory, size in zip(host.store.layer_dirs(image), (12 + 1 + 1, 9 + 1 + 1 + 1 + 1)):
            assert sum(1 for _path in Path(directory).rglob("*")) == size


def left(host: Host) -> list[str]:
    """What is not finished."""
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(os.path.join(host.paths.layers, "tmp"))
    return []


@pytest.fixture
def source(tmp_path: Path) -> str:
    return Saved(FIRST, SECOND).write(tmp_path / "image.tar")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one."""
    place = tmp_path / "disk"
    place.mkdir()
    libc.mount("tmpfs", str(place), "tmpfs", 0, ROOMY)
    try:
        yield place
    finally:
        libc.umount2(str(place))


def resize(disk: Path, options: str) -> None:
    libc.mount("tmpfs", str(disk), "tmpfs", MS_REMOUNT, options)


@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_a_full_disk_at_each_write(disk: Path, source: str, what: str) -> None:
    """A few pages, or files, more each time, until it is enough."""
    unit, failures = 4096 if what == "size" else 1, 0
    for more in range(8, 400, 3):
        host = Host(disk / str(more))
        resize(disk, f"{what}={_used(disk, what) + more * unit}")
        error = _attempt(host, source)
        if not error:
            break
        assert re.search("space|room", error)
        assert host.store.images() == []
        assert left(host) == []
        whole(host)
        resize(disk, ROOMY)
        assert host.actions(load_path=source)[0] == "load"
        whole(host)
        shutil.rmtree(host.paths.state_root)
        failures += 1
    assert failures > 9
    whole(host)


def _attempt(host: Host, source: str) -> str:
    try:
        host.image(load_path=source)
    except MiniError as exc:
        return str(exc)
    return ""


def _used(disk: Path, what: str) -> int:
    found = os.statvfs(disk)
    return found.f_files - found.f_ffree if what == "nr_inodes" else (found.f_blocks - found.f_bfree) * found.f_frsize


def remove(host: Host, name: str, **options: bool) -> None:
    """What the task does."""
    converge.remove(host.paths, name, **options)


@pytest.mark.parametrize("what", ["size", "nr_inodes"])
def test_removal_on_a_full_disk(disk: Path, source: str, what: str) -> None:
    """With not one byte, or not one inode, left; and again when somebody has taken what came free."""
    host = Host(disk / "host")
    host.image("web:1", load_path=source)
    host.image("other:1", load_path=source, user="7")
    for name in ("web:1", "other:1"):
        resize(disk, f"{what}={_used(disk, what)}")
        with pytest.raises(OSError, match="No space"):
            (disk / "more").write_bytes(b"x" * 9000)
        (disk / "more").unlink(missing_ok=True)
        if name == "web:1":
            remove(host, name)
        else:
            prune(host.paths, wanted({"images": True, "images_filters": {"dangling": False}}))
        assert host.store.find(name) is None
        whole(host)
    assert host.store.images() == []
    assert os.listdir(host.store.layout.blobs) == left(host) == []
    resize(disk, ROOMY)
    host.image(load_path=source)
    assert os.stat(host.paths.reserves[0]).st_blocks * 512 >= reserve.SIZES[0]


@pytest.mark.parametrize("number", [1, 5, 13, 14, 20, 23])
def test_killed_at_an_entry(tmp_path: Path, source: str, number: int) -> None:
    host = Host(tmp_path / "host")
    child = os.fork()
    if not child:
        _killed_at(number)
        host.image(load_path=source)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert host.store.images() == []
    assert len(left(host)) == 1
    whole(host)
    assert host.actions(load_path=source) == ["load", "sweep"]
    assert host.actions(load_path=source) == []
    assert left(host) == []
    whole(host)


def _killed_at(number: int) -> None:
    place, entries = layers._Unpacker.place, iter(range(number))

    def count(self: layers._Unpacker, entry: Entry) -> None:
        if next(entries, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        place(self, entry)

    layers._Unpacker.place = count  # type: ignore[method-assign]  # of a child that dies of it


def test_sixty_four_at_once(tmp_path: Path, source: str) -> None:
    host = Host(tmp_path / "host")
    children = []
    for number in range(64):
        child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                host.image(f"web:{number}", load_path=source)
                status = 0
            os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 64
    (image,) = {image.id: image for image in host.store.images()}.values()
    assert len(image.references) == 64
    whole(host)
    assert left(host) == []
    before = host.kept()
    for number in range(4):
        remove(host, f"web:{number}")
        assert host.kept() == before
    remove(host, image.id, force=True)
    assert host.kept() == []
