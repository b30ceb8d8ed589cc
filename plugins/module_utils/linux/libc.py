# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that Python 3.9 does not offer, one small function each; those of one facility alone are in its file.

Every function raises `OSError(errno, "call: reason", path)`; none has a policy. Numbers of raw calls
are those of `asm-generic/unistd.h`, which x86-64 and arm64 share for everything newer than Linux 5.0.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from typing import Any, NoReturn

_libc = ctypes.CDLL(None, use_errno=True)

_c_str = ctypes.c_char_p
_c_int = ctypes.c_int
_c_ulong = ctypes.c_ulong
_c_void = ctypes.c_void_p

_libc.mount.argtypes = (_c_str, _c_str, _c_str, _c_ulong, _c_str)
_libc.umount2.argtypes = (_c_str, _c_int)
_libc.unshare.argtypes = (_c_int,)
_libc.setns.argtypes = (_c_int, _c_int)
_libc.prctl.argtypes = (_c_int, _c_ulong, _c_ulong, _c_ulong, _c_ulong)
_libc.sethostname.argtypes = (_c_str, ctypes.c_size_t)
_libc.setdomainname.argtypes = (_c_str, ctypes.c_size_t)
_libc.syscall.restype = ctypes.c_long

_MACHINE = os.uname().machine
NR_RT_SIGACTION = {"x86_64": 13}.get(_MACHINE, 134)
NR_CLONE = {"x86_64": 56}.get(_MACHINE, 220)
NR_PIVOT_ROOT = {"x86_64": 155}.get(_MACHINE, 41)
NR_SET_MEMPOLICY = {"x86_64": 238}.get(_MACHINE, 237)
NR_KEYCTL = {"x86_64": 250}.get(_MACHINE, 219)
NR_PIDFD_SEND_SIGNAL = 424
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_PIDFD_OPEN = 434
NR_CLOSE_RANGE = 436
NR_OPENAT2 = 437
NR_PIDFD_GETFD = 438
NR_MOUNT_SETATTR = 442

# <linux/sched.h>
CLONE_NEWTIME = 0x00000080
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_GET_SECUREBITS = 27
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

# <linux/openat2.h>
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# <linux/mount.h>
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_RECURSIVE = 0x8000
AT_EMPTY_PATH = 0x1000
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

KEYCTL_JOIN_SESSION_KEYRING = 1


def _fail(call: str, path: str | None = None) -> NoReturn:
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", path)


def _encode(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def syscall(name: str, number: int, *arguments: Any, path: str | None = None) -> int:
    """A raw call by its number on this machine; what it returns."""
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        _fail(name, path)
    return result


def mount(source: str | None, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    if _libc.mount(_encode(source), _encode(target), _encode(fstype), flags, _encode(data)) < 0:
        _fail(f"mount {fstype or source or 'remount'}", target)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(_encode(target), flags) < 0:
        _fail("umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2); glibc has no wrapper."""
    syscall("pivot_root", NR_PIVOT_ROOT, _encode(new_root), _encode(put_old), path=new_root)


def unshare(flags: int) -> None:
    """unshare(2)."""
    if _libc.unshare(flags) < 0:
        _fail("unshare")


def setns(fd: int, flags: int) -> None:
    """setns(2); with a pidfd (Linux 5.8) all the namespaces in `flags` at once."""
    if _libc.setns(fd, flags) < 0:
        _fail("setns")


def clone_beside() -> int:
    """clone(2) like fork(2), but the child is our parent's (CLONE_PARENT): its pid, and 0 in the child.

    For a process with one thread, whose child does little but execute a program: nobody tells Python or glibc of it.
    """
    return syscall("clone", NR_CLONE, _c_ulong(CLONE_PARENT | signal.SIGCHLD), None, None, None, None)


def default_action(signal_number: int) -> None:
    """rt_sigaction(2) with SIG_DFL, also for the two signals that glibc keeps to itself and its wrapper refuses."""
    nothing = bytes(32)  # no handler, flags, restorer or mask
    syscall(f"rt_sigaction {signal_number}", NR_RT_SIGACTION, signal_number, nothing, None, 8)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    """prctl(2)."""
    result: int = _libc.prctl(option, arg2, arg3, arg4, arg5)
    if result < 0:
        _fail(f"prctl {option}")
    return result


def sethostname(name: str) -> None:
    """sethostname(2), for the caller's UTS namespace."""
    raw = name.encode()
    if _libc.sethostname(raw, len(raw)) < 0:
        _fail("sethostname")


def setdomainname(name: str) -> None:
    """setdomainname(2), for the caller's UTS namespace."""
    raw = name.encode()
    if _libc.setdomainname(raw, len(raw)) < 0:
        _fail("setdomainname")


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(dir_fd: int, path: str | bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2): open with rules for how the path may be walked. The descriptor is close-on-exec."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    raw = os.fsencode(path)
    while True:
        fd: int = _libc.syscall(NR_OPENAT2, dir_fd, raw, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        # EAGAIN: a rename raced the walk; the kernel asks the caller to try again (openat2(2)).
        if ctypes.get_errno() != 11:
            _fail("openat2", os.fsdecode(raw))


def open_tree(dir_fd: int, path: str, flags: int) -> int:
    """open_tree(2), Linux 5.2: with OPEN_TREE_CLONE a detached copy of a mount."""
    return syscall("open_tree", NR_OPEN_TREE, dir_fd, _encode(path), flags | OPEN_TREE_CLOEXEC, path=path)


def move_mount(from_fd: int, to_fd: int) -> None:
    """move_mount(2) of a detached mount onto an O_PATH descriptor: no path is walked."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    syscall("move_mount", NR_MOVE_MOUNT, from_fd, b"", to_fd, b"", flags)


class _MountAttr(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def mount_setattr(
    fd: int,
    *,
    attr_set: int = 0,
    attr_clear: int = 0,
    propagation: int = 0,
    users_fd: int = 0,
    recursive: bool = False,
) -> None:
    """mount_setattr(2), Linux 5.12, on the mount that `fd` (O_PATH or from open_tree) refers to.

    `users_fd` is a user namespace, for MOUNT_ATTR_IDMAP.
    """
    attr = _MountAttr(attr_set, attr_clear, propagation, users_fd)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", NR_MOUNT_SETATTR, fd, b"", flags, ctypes.byref(attr), ctypes.sizeof(attr))


def act_as(uid: int, gid: int) -> None:
    """setfsuid(2), setfsgid(2): whose the files are that the thread makes, and as whom it opens them.

    The one in force before is returned, never an error: so it is asked for a second time.
    """
    for call, number in ((_libc.setfsgid, gid), (_libc.setfsuid, uid)):
        call(number)
        if call(-1) != number:
            raise PermissionError(errno.EPERM, f"setfsuid {uid}, setfsgid {gid}: {os.strerror(errno.EPERM)}")


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """close_range(2), Linux 5.9."""
    syscall("close_range", NR_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(last), 0)


def pidfd_open(pid: int) -> int:
    """pidfd_open(2), Linux 5.3. The descriptor is close-on-exec."""
    return syscall("pidfd_open", NR_PIDFD_OPEN, pid, 0)


def pidfd_getfd(pidfd: int, number: int) -> int:
    """pidfd_getfd(2), Linux 5.6: a close-on-exec copy of a descriptor of another process, which we might trace."""
    return syscall("pidfd_getfd", NR_PIDFD_GETFD, pidfd, number, 0)


def pidfd_send_signal(pidfd: int, signal_number: int) -> None:
    """pidfd_send_signal(2), Linux 5.1."""
    syscall("pidfd_send_signal", NR_PIDFD_SEND_SIGNAL, pidfd, signal_number, None, 0)


def file_system(fd: int) -> int:
    """fstatfs(2): the magic number of the file system that `fd` is on (<linux/magic.h>), which os.fstatvfs hides."""
    found = (_c_ulong * 32)()  # struct statfs begins with f_type and is smaller than this everywhere
    if _libc.fstatfs(fd, found) < 0:
        _fail("fstatfs")
    return int(found[0])


def syncfs(fd: int) -> None:
    """syncfs(2): write out everything of the file system that `fd` is on."""
    if _libc.syncfs(fd) < 0:
        _fail("syncfs")


def personality(persona: int) -> None:
    """personality(2): the execution domain."""
    if _libc.personality(_c_ulong(persona)) < 0:
        _fail("personality")


def set_mempolicy(mode: int, nodes: int) -> None:
    """set_mempolicy(2) of the calling thread; bit N of `nodes` is node N."""
    words = nodes.bit_length() // 64 + 1
    mask = (ctypes.c_uint64 * words)(*(nodes >> 64 * word & (1 << 64) - 1 for word in range(words)))
    # The kernel takes the number for one more than that of the bits.
    bits = _c_ulong(64 * words + 1 if nodes else 0)
    syscall("set_mempolicy", NR_SET_MEMPOLICY, mode, mask if nodes else None, bits)


def join_session_keyring(name: str) -> None:
    """keyctl(2): a new session keyring, so that the caller's keys are out of reach."""
    syscall("keyctl", NR_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, name.encode())
