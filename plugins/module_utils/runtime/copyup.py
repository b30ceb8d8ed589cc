# SPDX-License-Identifier: GPL-3.0-or-later
"""A tmpfs that begins with what the directory under it holds (`tmpcopyup`, an option of runc's and crun's).

Both directories are descriptors and no link is followed, so a link in an image is copied and leads nowhere.
"""

from __future__ import annotations

import os
import stat

CHUNK = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copy directories, files, links and their owners, modes and times; other kinds of files are left out."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=source_fd)
    for name in os.listdir(readable):
        found = os.stat(name, dir_fd=readable, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(name, dir_fd=readable), name, dir_fd=target_fd)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target_fd, follow_symlinks=False)
        elif stat.S_ISDIR(found.st_mode):
            os.mkdir(name, 0o700, dir_fd=target_fd)
            _into(name, readable, target_fd, found)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(name, readable, target_fd, found)
    os.close(readable)


def _into(name: str, source_fd: int, target_fd: int, found: os.stat_result) -> None:
    inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=source_fd)
    made = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=target_fd)
    copy_tree(inner, made)
    _like(made, found)
    os.close(made)
    os.close(inner)


def _copy_file(name: str, source_fd: int, target_fd: int, found: os.stat_result) -> None:
    source = os.open(name, _OPEN, dir_fd=source_fd)
    target = os.open(name, _NEW, 0o600, dir_fd=target_fd)
    while chunk := os.read(source, CHUNK):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
    _like(target, found)
    os.close(target)
    os.close(source)


def _like(fd: int, found: os.stat_result) -> None:
    """The owner before the mode: a change of owner takes setuid bits away."""
    os.fchown(fd, found.st_uid, found.st_gid)
    os.fchmod(fd, stat.S_IMODE(found.st_mode))
    os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
