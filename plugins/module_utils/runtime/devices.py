# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's /dev: a fresh tmpfs with the nodes and links that every Linux program expects.

The list is that of the OCI runtime specification (config-linux.md, "Default Devices"). Everything is made through a
descriptor of the tmpfs just mounted, so nothing in an image can lead the nodes elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Any, NamedTuple

from ..linux.inroot import make_dirs_in_root
from ..linux.mount import fd_path
from .report import StepError


class Node(NamedTuple):
    """A character device: its name below /dev and its numbers (kernel: admin-guide/devices.txt)."""

    name: str
    major: int
    minor: int


NODES = (
    Node("null", 1, 3),
    Node("zero", 1, 5),
    Node("full", 1, 7),
    Node("random", 1, 8),
    Node("urandom", 1, 9),
    Node("tty", 5, 0),
)
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}


KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def populate(dev_fd: int) -> None:
    """Make the nodes and links in the /dev that `dev_fd` is open on; what is there already stays."""
    for node in NODES:
        _make(dev_fd, node.name, stat.S_IFCHR | 0o666, os.makedev(node.major, node.minor))
    for name, target in LINKS.items():
        if name == "core" and not os.path.exists(target):
            continue  # a kernel without it
        with contextlib.suppress(FileExistsError):
            os.symlink(target, name, dir_fd=dev_fd)


def make(root_fd: int, device: dict[str, Any]) -> None:
    """Make one of `linux.devices` at its path in the new root."""
    directory, name = os.path.split(os.path.normpath(device["path"]))
    if (directory, name) == ("/dev", "ptmx"):
        return  # the container's own, a link to that of its devpts
    parent = make_dirs_in_root(root_fd, directory)
    mode = KINDS[device["type"]] | device.get("fileMode", 0o666) & 0o7777
    owner = device.get("uid", 0), device.get("gid", 0)
    try:
        _make(parent, name, mode, os.makedev(device.get("major", 0), device.get("minor", 0)), owner)
    except OSError as exc:
        raise StepError(f"cannot make the device {device['path']}: {exc.strerror}", device["path"]) from exc
    finally:
        os.close(parent)


def _make(directory: int, name: str, mode: int, number: int, owner: tuple[int, int] | None = None) -> None:
    """Make a node, or take one that is there. A container that shares the directory may swap it for a link meanwhile,
    so what is changed is what was looked at (chmod(2) follows links, and that of another's would lead to the host).
    """
    with contextlib.suppress(FileExistsError):
        os.mknod(name, mode, number, dir_fd=directory)
    node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = os.fstat(node)
        if (stat.S_IFMT(found.st_mode), found.st_rdev) != (stat.S_IFMT(mode), number):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        # mknod(2) is subject to the umask, and chmod has no such exception.
        os.chmod(fd_path(node), stat.S_IMODE(mode))
        if owner:
            os.chown(fd_path(node), *owner)
    finally:
        os.close(node)
