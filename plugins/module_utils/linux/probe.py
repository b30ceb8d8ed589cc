# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel can do, found out by doing it: in a child with namespaces of its own, so that nothing stays.

Lists such as /proc/filesystems tell what is loaded, not what would be loaded when first used, and they say nothing
of a security module, a seccomp filter or a read-only mount that forbids it.
"""

from __future__ import annotations

import os
import re
import tempfile
from typing import Callable

from . import libc
from .files import make_private_dir, remove_tree
from .mount import set_propagation
from .mount_options import MS_NODEV, MS_NOSUID, MS_PRIVATE
from .overlay import overlay_data

NAMESPACES = {
    "mount": libc.CLONE_NEWNS,
    "UTS": libc.CLONE_NEWUTS,
    "IPC": libc.CLONE_NEWIPC,
    "PID": libc.CLONE_NEWPID,
    "network": libc.CLONE_NEWNET,
    "cgroup": libc.CLONE_NEWCGROUP,
}
_REFUSED, _ANSWERED = b"-", b"+"


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison: `6.1.0-18-amd64` is (6, 1, 0)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def in_namespaces(flags: int, work: Callable[[], str]) -> str:
    """What `work` returns when a child process does it in new namespaces; its `OSError` is raised here."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read_end)
        _child(flags, work, write_end)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(pid, 0)
    if raw[:1] == _ANSWERED:
        return raw[1:].decode("utf-8", "replace")
    number, _separator, message = raw[1:].decode("utf-8", "replace").partition(" ")
    raise OSError(int(number or 0), message or "the probe died")


def _child(flags: int, work: Callable[[], str], answer_fd: int) -> None:
    # The child leaves by _exit, whatever happens: to unwind would run the caller's cleanup a second time.
    try:
        try:
            libc.unshare(flags)
            if flags & libc.CLONE_NEWNS:
                set_propagation(MS_PRIVATE)
            answer = _ANSWERED + work().encode()
        except OSError as exc:
            answer = _REFUSED + f"{exc.errno or 0} {exc.strerror or exc}".encode()
        os.write(answer_fd, answer)
    finally:
        os._exit(0)


def missing_namespaces() -> list[str]:
    """The kinds of namespaces that this process cannot make."""
    return [kind for kind, flag in NAMESPACES.items() if not _possible(flag)]


def _possible(flag: int) -> bool:
    try:
        in_namespaces(flag, lambda: "")
    except OSError:
        return False
    return True


def overlay(directory: str) -> None:
    """Mount an overlay with its layers below `directory` and write through it.

    Not every file system can carry one: an overlay cannot lie on another, and some network file systems refuse, too.
    """
    place = tempfile.mkdtemp(prefix=".mini-probe-", dir=directory)
    try:
        in_namespaces(libc.CLONE_NEWNS, lambda: _write_through(place))
    finally:
        remove_tree(place)


def _write_through(place: str) -> str:
    lower, upper, work, merged = (os.path.join(place, name) for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        make_private_dir(path)
    with open(os.path.join(lower, "file"), "wb"):
        pass
    libc.mount("overlay", merged, "overlay", MS_NOSUID | MS_NODEV, overlay_data([lower], upper, work))
    # A deletion is what needs most of the layer below: a device node 0/0, and a directory that can hold xattrs.
    os.unlink(os.path.join(merged, "file"))
    return ""


def existing(path: str) -> str:
    """`path`, or the nearest directory above it that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
