# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounting by descriptor, and what is said of a mount that is there."""

from __future__ import annotations

import errno
import os

from . import libc
from .mount_options import (
    ANY_ATIME,
    MOUNT_ATTR_ATIME,
    MOUNT_ATTR_IDMAP,
    MS_BIND,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    Change,
    attributes,
)


def fd_path(fd: int) -> str:
    """A path that names what `fd` has open, however its directories are renamed meanwhile."""
    return f"/proc/self/fd/{fd}"


def change_flags(fd: int, change: Change, *, recursive: bool) -> None:
    """Change the flags of the mount whose root `fd` is: mount_setattr(2), or a remount where there is no such call."""
    times = MOUNT_ATTR_ATIME if (change.set | change.clear) & ANY_ATIME else 0
    try:
        libc.mount_setattr(
            fd, attr_set=attributes(change.set), attr_clear=attributes(change.clear) | times, recursive=recursive
        )
    except OSError as exc:
        if exc.errno != errno.ENOSYS:
            raise
        libc.mount(None, fd_path(fd), None, MS_REMOUNT | MS_BIND | change.set)


def bind(
    source_fd: int, target_fd: int, *, recursive: bool = True, users_fd: int = -1, users_below: bool = False
) -> int:
    """Bind what `source_fd` (O_PATH) refers to over what `target_fd` refers to. No path is walked.

    With a user namespace, `users_fd`, the files belong to its users: who is 0 on the disk is its 0 (idmapped mounts,
    mount_setattr(2)), with `users_below` also those of the mounts below. That has to be said before it is anybody's.

    The descriptor returned is the new mount's root: what is still to be said of the mount cannot meet another one.
    """
    flags = libc.OPEN_TREE_CLONE | libc.AT_EMPTY_PATH | (libc.AT_RECURSIVE if recursive else 0)
    tree = libc.open_tree(source_fd, "", flags)
    if users_fd >= 0:
        libc.mount_setattr(tree, attr_set=MOUNT_ATTR_IDMAP, users_fd=users_fd, recursive=users_below)
    libc.move_mount(tree, target_fd)
    return tree


def recurses() -> bool:
    """Whether the kernel can change a mount and all below it at once."""
    try:
        libc.mount_setattr(-1, recursive=True)
    except OSError as exc:
        return exc.errno != errno.ENOSYS
    return True


def make_read_only(fd: int) -> None:
    """Make the mount whose root `fd` is, and where the kernel can (5.12) all below it, read-only."""
    change_flags(fd, Change(MS_RDONLY), recursive=True)


def propagate(fd: int, propagation: int) -> None:
    """Say whether mounts arrive in, and go out from, the mount whose root `fd` is (mount_namespaces(7))."""
    libc.mount(None, fd_path(fd), None, propagation)


def enter_namespace_root() -> None:
    """Make the root of the mount namespace the caller's root and working directory, whatever chroot(2) it is in.

    setns(2) into the namespace that one is in does it (fs/namespace.c, mntns_install).
    """
    namespace = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    libc.setns(namespace, libc.CLONE_NEWNS)
    os.close(namespace)


def set_propagation(kind: int) -> None:
    """What every mount of this namespace does from now on with later ones: MS_SLAVE, MS_PRIVATE.

    In a chroot "/" need not be a mount, and not all mounts are below it: a later unmount would reach the host's.
    """
    root, here = (os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in ("/", "."))
    enter_namespace_root()
    libc.mount(None, "/", None, MS_REC | kind)
    os.fchdir(root)
    os.chroot(".")
    os.fchdir(here)
    for fd in (root, here):
        os.close(fd)
