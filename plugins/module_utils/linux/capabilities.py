# SPDX-License-Identifier: GPL-3.0-or-later
"""Capabilities by name and number (capabilities(7), <linux/capability.h>), and how a process gives them up."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from . import libc

NR_CAPSET = {"x86_64": 126}.get(os.uname().machine, 91)

NAMES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP "
    "CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER "
    "CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE "
    "CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL "
    "CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ "
    "CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE"
).split()
NUMBER = {name: number for number, name in enumerate(NAMES)}

# Docker's set without MKNOD, NET_RAW and AUDIT_WRITE, as Podman has it.
DEFAULT = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID CAP_KILL CAP_NET_BIND_SERVICE CAP_SETFCAP CAP_SETGID "
    "CAP_SETPCAP CAP_SETUID CAP_SYS_CHROOT"
).split()


def mask(names: Iterable[str]) -> int:
    """The bits of the named capabilities."""
    bits = 0
    for name in names:
        bits |= 1 << NUMBER[name]
    return bits


def last_capability() -> int:
    """The highest number that the running kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as handle:
        return int(handle.read())


def available() -> list[str]:
    """The capabilities that the caller has itself and can hand on: a guest's root may lack some."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as handle:
        fields = dict(line.split(":\t", 1) for line in handle if ":\t" in line)
    bits = int(fields["CapPrm"], 16)
    return [name for number, name in enumerate(NAMES) if bits >> number & 1]


def drop_bounding(keep: int, last: int) -> None:
    """Take every capability that is not in `keep` out of the bounding set, for good."""
    for number in range(last + 1):
        if not keep >> number & 1:
            libc.prctl(libc.PR_CAPBSET_DROP, number)


def limit_to(effective: int, permitted: int, inheritable: int = 0, ambient: int = 0) -> None:
    """Set the sets of the calling process. Inheritable and ambient ones are empty unless asked for: CVE-2022-29162."""
    libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)
    _capset(effective, permitted, inheritable)
    for number in range(len(NAMES)):
        if ambient >> number & 1:
            libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_RAISE, number)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) for the calling thread; each argument is a 64-bit mask."""
    header = _Header(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3
    data = (_Data * 2)()
    for index in (0, 1):
        shift = 32 * index
        data[index].effective = (effective >> shift) & 0xFFFFFFFF
        data[index].permitted = (permitted >> shift) & 0xFFFFFFFF
        data[index].inheritable = (inheritable >> shift) & 0xFFFFFFFF
    libc.syscall("capset", NR_CAPSET, ctypes.byref(header), ctypes.byref(data))
