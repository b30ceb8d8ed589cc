# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner, mode, times and extended attributes of what a layer brings, in the one order that keeps them.

chown(2) clears setuid bits and `security.capability`, so the owner comes first, then the mode, then the attributes.
"""

from __future__ import annotations

import errno
import os

from ..core.errors import BadImage, HostLacks
from .tarstream import Entry

OVERLAY_OPAQUE = "trusted.overlay.opaque"
ENGINE = ("trusted.overlay.", "user.overlay.")
CAPABILITY = "security.capability"
# Not a directory's default list: what is unpacked into the directory would inherit it.
ACCESS_LIST = "system.posix_acl_access"
MAX_VALUE = 2**16


def kept(name: str) -> bool:
    """Whether an image may set the attribute. Labels of this host's security modules are the host's to give."""
    return name in (CAPABILITY, ACCESS_LIST) or name.startswith("user.")


def check(entry: Entry) -> None:
    """Refuse what would steer the overlay file system, and values beyond the kernel's limit."""
    for name, value in entry.xattrs.items():
        if name.startswith(ENGINE):
            raise BadImage(f"the archive sets the attribute {name}, which belongs to the container engine")
        if len(value) > MAX_VALUE or len(name) > 255:
            raise BadImage(f"the archive sets an attribute of {len(value)} bytes, more than the kernel keeps")


def of_open(entry: Entry, fd: int) -> None:
    """A file or directory that is open."""
    check(entry)
    os.fchown(fd, entry.uid, entry.gid)
    os.fchmod(fd, entry.mode)
    for name, value in entry.xattrs.items():
        if kept(name):
            _set(fd, name, value)


def drop(fd: int) -> None:
    """The attributes that an earlier member gave to a directory: a later one says all of it."""
    for name in os.listxattr(fd):
        if kept(name):
            os.removexattr(fd, name)


def of_link(entry: Entry, parent: int, name: bytes) -> None:
    """A symbolic link: it has no mode, and the kernel gives it no attributes of these kinds."""
    check(entry)
    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def of_node(entry: Entry, parent: int, name: bytes) -> None:
    """A device or pipe, which was created by us a moment ago in a directory nobody else can reach: chmod is safe."""
    of_link(entry, parent, name)
    os.chmod(name, entry.mode, dir_fd=parent)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _set(fd: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(fd, name, value)
    except OSError as exc:
        if exc.errno == errno.ENOTSUP:
            raise HostLacks(
                f"the file system of the layers has no attribute {name}, which the image uses",
                hint="put state_root on ext4, xfs or btrfs",
            ) from exc
        if exc.errno in (errno.E2BIG, errno.ENOSPC, errno.ERANGE, errno.EINVAL):
            raise BadImage(f"the image's attribute {name} is refused by the file system: {exc.strerror}") from exc
        raise
