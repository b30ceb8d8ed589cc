# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounting by descriptor, mount options by name (mount(8)), and the table of mounts (proc_pid_mountinfo(5))."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import NamedTuple

from . import libc
from .files import read_small

# <linux/mount.h>
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_POSIXACL = 1 << 16
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_I_VERSION = 1 << 23
MS_STRICTATIME = 1 << 24
MS_LAZYTIME = 1 << 25
MNT_DETACH = 2

# What belongs to a mount and not to its file system, and its name for mount_setattr(2).
_ATTRIBUTES = {
    MS_RDONLY: 0x1,
    MS_NOSUID: 0x2,
    MS_NODEV: 0x4,
    MS_NOEXEC: 0x8,
    MS_NOATIME: 0x10,
    MS_STRICTATIME: 0x20,
    MS_NODIRATIME: 0x80,
    MS_NOSYMFOLLOW: 0x200000,
}
_ANY_ATIME = MS_NOATIME | MS_STRICTATIME | MS_RELATIME
MOUNT_ATTR_IDMAP = 0x00100000
MOUNT_ATTR_ATIME = 0x70  # a choice of one, which has to be cleared before it is made

FLAGS = {
    "acl": MS_POSIXACL,
    "bind": MS_BIND,
    "dirsync": MS_DIRSYNC,
    "iversion": MS_I_VERSION,
    "lazytime": MS_LAZYTIME,
    "mand": MS_MANDLOCK,
    "noatime": MS_NOATIME,
    "nodev": MS_NODEV,
    "nodiratime": MS_NODIRATIME,
    "noexec": MS_NOEXEC,
    "nosuid": MS_NOSUID,
    "nosymfollow": MS_NOSYMFOLLOW,
    "rbind": MS_BIND | MS_REC,
    "relatime": MS_RELATIME,
    "remount": MS_REMOUNT,
    "ro": MS_RDONLY,
    "silent": MS_SILENT,
    "strictatime": MS_STRICTATIME,
    "sync": MS_SYNCHRONOUS,
}
CLEARED = {
    "async": MS_SYNCHRONOUS,
    "atime": MS_NOATIME,
    "defaults": 0,
    "idmap": 0,  # said by the mount's user namespace
    "dev": MS_NODEV,
    "diratime": MS_NODIRATIME,
    "exec": MS_NOEXEC,
    "loud": MS_SILENT,
    "noacl": MS_POSIXACL,
    "noiversion": MS_I_VERSION,
    "nolazytime": MS_LAZYTIME,
    "nomand": MS_MANDLOCK,
    "norelatime": MS_RELATIME,
    "nostrictatime": MS_STRICTATIME,
    "rw": MS_RDONLY,
    "suid": MS_NOSUID,
    "symfollow": MS_NOSYMFOLLOW,
}
# With an `r` before it, an option holds for the mounts below, too (config.md, "Linux mount options").
RECURSIVE = {
    f"r{name}": flag
    for name, flag in {**FLAGS, **CLEARED}.items()
    if flag in (*_ATTRIBUTES, MS_RELATIME) and f"r{name}" not in FLAGS
}
PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}


class Change(NamedTuple):
    """What becomes of a mount's own flags: those that are set and those that are cleared."""

    set: int = 0
    clear: int = 0

    def apply(self, fd: int, *, recursive: bool) -> None:
        """mount_setattr(2) on the mount whose root `fd` is; where the kernel has no such call, a remount of it."""
        times = MOUNT_ATTR_ATIME if (self.set | self.clear) & _ANY_ATIME else 0
        try:
            libc.mount_setattr(
                fd, attr_set=_attributes(self.set), attr_clear=_attributes(self.clear) | times, recursive=recursive
            )
        except OSError as exc:
            if exc.errno != errno.ENOSYS:
                raise
            libc.mount(None, fd_path(fd), None, MS_REMOUNT | MS_BIND | self.set)


def _attributes(flags: int) -> int:
    return sum(attribute for flag, attribute in _ATTRIBUTES.items() if flags & flag)


class Options(NamedTuple):
    """A list of mount options, taken apart. `own` and `below` change a mount, and with it all mounts below."""

    flags: int
    propagation: int
    data: str
    own: Change = Change()
    below: Change = Change()


def parse_options(options: Iterable[str]) -> Options:
    """Flags, propagation and what is left for the file system itself. Of two that contradict the later one counts."""
    flags = cleared = propagation = below = below_cleared = 0
    data: list[str] = []
    for option in options:
        if option in FLAGS:
            flags, cleared = flags | FLAGS[option], cleared & ~FLAGS[option]
        elif option in CLEARED:
            flags, cleared = flags & ~CLEARED[option], cleared | CLEARED[option]
        elif option in PROPAGATION:
            propagation = PROPAGATION[option]
        elif option in RECURSIVE and option[1:] in FLAGS:
            below, below_cleared = below | RECURSIVE[option], below_cleared & ~RECURSIVE[option]
        elif option in RECURSIVE:
            below, below_cleared = below & ~RECURSIVE[option], below_cleared | RECURSIVE[option]
        else:
            data.append(option)
    own = sum(flag for flag in (*_ATTRIBUTES, MS_RELATIME) if flags & flag)
    return Options(flags, propagation, ",".join(data), Change(own, cleared), Change(below, below_cleared))


def fd_path(fd: int) -> str:
    """A path that names what `fd` has open, however its directories are renamed meanwhile."""
    return f"/proc/self/fd/{fd}"


_LOWER = "lowerdir="


def overlay_data(lower: Iterable[str], upper: str = "", work: str = "") -> str:
    """Options of an overlay mount, `lower` bottom first as images list layers (overlayfs wants the top first).

    Without `upper` nothing can be written to it; there must be two lower directories then.
    """
    lowers = ":".join(escape(path) for path in reversed(list(lower)))
    # An upper layer must be readable by itself, whatever the kernel's defaults are: a commit turns it into a layer.
    changes = f",upperdir={escape(upper)},workdir={escape(work)}" if upper else ""
    return f"redirect_dir=off,metacopy=off,lowerdir={lowers}{changes}"


def escape(path: str) -> str:
    """Overlayfs splits its options at `,` and `:` unless a backslash stands before them."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def mount_overlay(target: str, flags: int, data: str) -> None:
    """Mount layers at a path that is absolute.

    The kernel takes one page of options (mount(2)), which the paths of some forty layers fill. More of them are called
    by the numbers of their descriptors, relative to /proc/self/fd: that leaves room for all that overlayfs stacks.
    """
    if len(os.fsencode(data)) < os.sysconf("SC_PAGE_SIZE"):
        libc.mount("overlay", target, "overlay", flags, data)
        return
    flags_of_open = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fds = [os.open(".", flags_of_open)]
    try:
        for path in _lower(data):
            fds.append(os.open(path, flags_of_open))
        others = [option for option in _split(data, ",") if not option.startswith(_LOWER)]
        os.chdir("/proc/self/fd")
        libc.mount("overlay", target, "overlay", flags, ",".join([*others, _LOWER + ":".join(map(str, fds[1:]))]))
    finally:
        os.fchdir(fds[0])
        for fd in fds:
            os.close(fd)


def _lower(data: str) -> list[str]:
    """The lower directories in the options of an overlay mount."""
    values = [option[len(_LOWER) :] for option in _split(data, ",") if option.startswith(_LOWER)]
    return [_unescaped(path) for value in values for path in _split(value, ":")]


def _split(text: str, at: str) -> list[str]:
    """At a character before which no backslash stands."""
    parts, escaped = [""], False
    for character in text:
        if character == at and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def _unescaped(text: str) -> str:
    """What `escape` was given."""
    plain, escaped = "", False
    for character in text:
        escaped = character == "\\" and not escaped
        plain += "" if escaped else character
    return plain


def bind(source_fd: int, target_fd: int, *, recursive: bool = True, users_fd: int = -1) -> int:
    """Bind what `source_fd` (O_PATH) refers to over what `target_fd` refers to. No path is walked.

    With a user namespace, `users_fd`, the files belong to its users: who is 0 on the disk is its 0 (idmapped mounts,
    mount_setattr(2)). That has to be said before the mount is anybody's.

    The descriptor returned is the new mount's root: what is still to be said of the mount cannot meet another one.
    """
    flags = libc.OPEN_TREE_CLONE | libc.AT_EMPTY_PATH | (libc.AT_RECURSIVE if recursive else 0)
    tree = libc.open_tree(source_fd, "", flags)
    if users_fd >= 0:
        libc.mount_setattr(tree, attr_set=MOUNT_ATTR_IDMAP, users_fd=users_fd, recursive=recursive)
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
    Change(MS_RDONLY).apply(fd, recursive=True)


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


def mount_id(fd: int) -> int:
    """The mount that an open file was reached through (proc_pid_fdinfo(5)); a bind mount shows in nothing else."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as handle:
        return next(int(line.split()[1]) for line in handle if line.startswith("mnt_id:"))


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


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(octal, character)
    return text
