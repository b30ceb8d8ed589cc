# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of mounts (proc_pid_mountinfo(5)), and the place of an open file in it."""

from __future__ import annotations

import os
from typing import NamedTuple

from .files import read_small


class MountEntry(NamedTuple):
    """One line of mountinfo. `options` are the mount's own, `super_options` the file system's.

    `peers` says with whom it shares later mounts: `shared:1 master:2`.
    """

    mount_id: int
    root: str
    target: str
    options: str
    fstype: str
    source: str
    super_options: str
    peers: str = ""


def mounts(path: str = "/proc/self/mountinfo", kind: str = "") -> list[MountEntry]:
    """The mount table of a mount namespace, or what of it has a type that begins with `kind`.

    A host has a mount or more for each of its containers.
    """
    lines = read_small(path).decode("utf-8", "surrogateescape").split("\n")
    return [_entry(line) for line in lines if f" - {kind}" in line]


def _entry(line: str) -> MountEntry:
    left, _separator, right = line.partition(" - ")
    fields = left.split(" ")
    fstype, source, super_options = right.split(" ", 2)
    root, target, source = (_unescape(text) for text in (fields[3], fields[4], source))
    return MountEntry(int(fields[0]), root, target, fields[5], fstype, source, super_options, " ".join(fields[6:]))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text


def mount_id(fd: int) -> int:
    """The mount that an open file was reached through (proc_pid_fdinfo(5)); a bind mount shows in nothing else."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith("mnt_id:"))


def is_shared(path: str) -> bool:
    """Whether mounts below `path`, which need not exist yet, go out to others (mount_namespaces(7))."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        number = mount_id(fd)
    finally:
        os.close(fd)
    # In a chroot the table leaves out what is not below the root.
    return any("shared:" in entry.peers for entry in mounts() if entry.mount_id == number)
