# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount flags and options by name (mount(8)), and what of them belongs to a mount and what to its file system."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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
ANY_ATIME = MS_NOATIME | MS_STRICTATIME | MS_RELATIME
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
    "idmap": 0,  # these two are said by the mount's user namespace
    "ridmap": 0,
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


def attributes(flags: int) -> int:
    """The flags that belong to a mount, as mount_setattr(2) has them."""
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
