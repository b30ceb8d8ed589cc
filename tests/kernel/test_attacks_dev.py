# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks through /dev: links where the runtime expects devices, in the container's own and in a directory it is given.

Each test fails without its defence: that was tried by taking it away.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.linux import files, libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MNT_DETACH

from .waiting import eventually

DESCRIPTORS = range(3, 20)
AT_FDCWD = -100
RENAME_EXCHANGE = 2  # renameat2(2)
NR_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}[os.uname().machine]
INTERFERES = "/proc/sys/kernel/domainname"  # a file of the kernel's that a container may not write; each has its own


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Path]:
    """A directory that a task mounts at /dev, and somebody else has written to. There are terminals in it."""
    found = tmp_path / "dev"
    (found / "pts").mkdir(parents=True)
    libc.mount("devpts", str(found / "pts"), "devpts", 0, "newinstance,ptmxmode=0666")
    yield found
    libc.umount2(str(found / "pts"), MNT_DETACH)


@pytest.mark.parametrize("number", DESCRIPTORS)
@pytest.mark.parametrize("tail", ["", "/etc/hostname"])
def test_dev_null_of_a_container_is_a_descriptor_of_the_engine(host: Any, number: int, tail: str) -> None:
    """As in CVE-2024-21626: who exec'd got the engine's pipes, its pidfd and its log as standard input."""
    host.container()
    root = Path(f"/proc/{host.pid()}/root")
    _link(root / "dev" / "null", f"/proc/self/fd/{number}{tail}")
    with pytest.raises(MiniError, match="null"):
        host.exec("c", "readlink", "/proc/self/fd/0")
    host.absent("c")


@pytest.mark.parametrize("kind", ["file", "pipe", "other device"])
def test_dev_null_of_a_container_is_something_else(host: Any, kind: str) -> None:
    """What a command of the administrator's writes nowhere would be for others to read, or stop it for ever."""
    host.container()
    null = Path(f"/proc/{host.pid()}/root/dev/null")
    null.unlink()
    if kind == "file":
        null.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(null)
    else:
        os.mknod(null, 0o20666, os.makedev(5, 0))
    with pytest.raises(MiniError, match="null"):
        host.exec("c", "readlink", "/proc/self/fd/0")
    host.absent("c")


def _link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("number", DESCRIPTORS)
def test_a_probe_of_health_is_handed_nothing_of_the_monitor(host: Any, number: int) -> None:
    """It has the log open, for one."""
    check = {"test": ["CMD-SHELL", "readlink /proc/self/fd/0 >> /seen"], "interval": "20ms", "retries": 1}
    host.container(healthcheck=check)
    root = Path(f"/proc/{host.pid()}/root")
    eventually((root / "seen").exists)
    _link(root / "dev" / "null", f"/proc/self/fd/{number}")
    eventually(lambda: host.state()["health"]["status"] == "unhealthy")
    # A probe may have had the device open when its name was taken away.
    assert set((root / "seen").read_text().splitlines()) <= {"/dev/null", "/dev/null (deleted)"}
    host.absent("c")


@pytest.mark.parametrize("number", DESCRIPTORS)
def test_dev_null_of_a_directory_at_dev(host: Any, dev: Path, number: int) -> None:
    """The same at the start: there are the locks of the task among the descriptors."""
    (dev / "null").symlink_to(f"/proc/self/fd/{number}")
    with pytest.raises(MiniError, match="null"):
        host.container(volumes=[f"{dev}:/dev"])
    host.absent("c")


def test_an_image_whose_dev_is_a_volume(host: Any, tmp_path: Path) -> None:
    """It has its own nodes there then, and they are of no use."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "dev").mkdir()
    os.mknod(tmp_path / "image" / "dev" / "null", 0o20666, os.makedev(1, 3))
    os.mknod(tmp_path / "image" / "dev" / "console", 0o20666, os.makedev(5, 1))
    host.image("devices", tmp_path / "image", volumes=("/dev",))
    with pytest.raises(MiniError, match="/dev/null"):
        host.container(image="devices", command="/nothing")
    host.absent("c")
    files.remove_tree(host.paths.volumes)


def test_device_nodes_of_an_image_are_inert_in_a_volume(host: Any, rootfs: Path, tmp_path: Path) -> None:
    """The host's console is a device that the cgroup lets pass; an image must not bring its node along."""
    (tmp_path / "image" / "data").mkdir(parents=True)
    os.mknod(tmp_path / "image" / "data" / "zero", 0o20666, os.makedev(1, 5))
    host.image("devices", tmp_path / "image", volumes=("/data",))
    _add_busybox(host, rootfs)
    done = host.run(["sh", "-c", "test -c /data/zero && head -c 1 /data/zero"], image="devices")
    assert (done.stdout, done.rc) == ("", 1)
    assert "Permission denied" in done.stderr
    files.remove_tree(host.paths.volumes)


def _add_busybox(host: Any, rootfs: Path) -> None:
    """Into the one layer of the image that has devices."""
    (layer,) = (path for path in Path(host.paths.layers).iterdir() if (path / "data").exists())
    (layer / "bin").mkdir()
    for name in ("sh", "head", "test"):
        os.link(rootfs / "bin" / "busybox", layer / "bin" / name)


def test_dev_null_of_a_directory_masks_nothing(host: Any, dev: Path) -> None:
    """CVE-2025-31133: the masked file would be one of the kernel's, to be written. A terminal needs no /dev/null."""
    (dev / "null").symlink_to(INTERFERES)
    script = f"cat {INTERFERES}; cat /proc/timer_list; echo broken > /proc/timer_list; cat {INTERFERES}; echo end"
    done = host.run(["sh", "-c", script], volumes=[f"{dev}:/dev"], tty=True, domainname="whole")
    assert done.stdout.split() == ["whole", "whole", "end"]


def test_a_console_that_is_a_link(host: Any, dev: Path) -> None:
    """CVE-2025-52565: the terminal would be mounted over whatever it leads to."""
    (dev / "console").symlink_to("/etc/passwd")
    with pytest.raises(MiniError, match="symbolic links"):
        host.run("true", volumes=[f"{dev}:/dev"], tty=True)


@pytest.mark.parametrize("kind", ["link", "link on the way", "file", "pipe"])
def test_a_terminal_that_is_none(host: Any, tmp_path: Path, kind: str) -> None:
    """Who is given the other end would talk to a file of the attacker's choice."""
    (tmp_path / "dev" / "real").mkdir(parents=True)
    pts = tmp_path / "dev" / "pts"
    if kind == "link on the way":
        pts.symlink_to("real")
    else:
        pts.mkdir()
    if kind == "link":
        (pts / "ptmx").symlink_to("../real/ptmx")
    elif kind == "pipe":
        os.mkfifo(pts / "ptmx")
    else:
        (pts / "ptmx").write_text("mine")
    (tmp_path / "dev" / "real" / "ptmx").write_text("mine")
    with pytest.raises(MiniError, match="a terminal needs a devpts at /dev/pts"):
        host.run("true", volumes=[f"{tmp_path}/dev:/dev"], tty=True)


@pytest.mark.parametrize("place", ["/way/node", "/way/below/node"])
def test_a_device_on_the_way_through_a_link(host: Any, tmp_path: Path, place: str) -> None:
    """CVE-2026-41579: the node, and the directory that it is in, would be made on the host."""
    canary = tmp_path / "canary"
    canary.mkdir()
    host.container(state="present", devices=[f"/dev/null:{place}"])
    upper = Path(host.paths.container(host.record().id, "upper"))
    (upper / "way").symlink_to(canary)
    with contextlib.suppress(MiniError):
        host.container()
    assert list(canary.iterdir()) == []
    host.absent("c")


@contextlib.contextmanager
def _swapped(one: Path, other: Path) -> Iterator[None]:
    """The two names are exchanged all the time, as fast as the kernel does it."""
    over = threading.Event()
    names = os.fsencode(one), os.fsencode(other)

    def swap() -> None:
        while not over.is_set():
            libc._libc.syscall(NR_RENAMEAT2, AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        yield
    finally:
        over.set()
        attacker.join()


def test_a_node_that_is_swapped_for_a_link(host: Any, tmp_path: Path) -> None:
    """Whoever shares the directory of a device would have had a file of the host's made writable for everybody."""
    shared, canary = tmp_path / "shared", tmp_path / "canary"
    shared.mkdir()
    canary.write_text("mine")
    canary.chmod(0o600)
    os.mknod(shared / "node", 0o20666, os.makedev(1, 3))
    (shared / "link").symlink_to(canary)
    outcomes = set()
    with _swapped(shared / "node", shared / "link"):
        for _round in range(60):
            try:
                host.container(volumes=[f"{shared}:/shared"], devices=["/dev/null:/shared/node"])
                outcomes.add("made")
            except MiniError:
                outcomes.add("refused")
            host.absent("c")
            assert stat.S_IMODE(canary.stat().st_mode) == 0o600
    assert outcomes == {"made", "refused"}
