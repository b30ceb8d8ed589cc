# SPDX-License-Identifier: GPL-3.0-or-later
"""bpf(2), as far as device programs of cgroups need it: load, attach, and tell what is attached (<linux/bpf.h>).

Such a program stays attached when its descriptor is closed, and goes with its cgroup.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

NR_BPF = {"x86_64": 321}.get(os.uname().machine, 280)

PROG_LOAD = 5
PROG_ATTACH = 8
PROG_DETACH = 9
PROG_GET_FD_BY_ID = 13
OBJ_GET_INFO_BY_FD = 15
PROG_QUERY = 16

PROG_TYPE_CGROUP_DEVICE = 15
ATTACH_CGROUP_DEVICE = 6
# The program is asked together with those of the cgroups above, and all have to agree.
F_ALLOW_MULTI = 2

INSTRUCTION = 8
NAME_LENGTH = 15
_MAX_PROGRAMS = 64  # BPF_CGROUP_MAX_PROGS
_INFO_NAME = 64  # the offset of `name` in struct bpf_prog_info, Linux 4.15
# Longer than any command's part of union bpf_attr that is used here: the kernel takes more than it knows as long as
# that is zero, and writes some answers to offsets that a shorter buffer would not have (PROG_QUERY, `revision`).
_ATTRIBUTES = 128


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """The call's result, and its attributes with the kernel's answers."""
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    result: int = _libc.syscall(NR_BPF, command, buffer, _ATTRIBUTES)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf {command}: {os.strerror(number)}")
    return result, buffer.raw


def load(instructions: bytes, name: str) -> int:
    """Have the kernel check a device program and keep it; its descriptor (close-on-exec)."""
    text = ctypes.create_string_buffer(instructions)
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQIIQII16sII",
        PROG_TYPE_CGROUP_DEVICE,
        len(instructions) // INSTRUCTION,
        ctypes.addressof(text),
        ctypes.addressof(licence),
        *(0, 0, 0),  # no log of the verifier
        *(0, 0),  # kern_version, prog_flags
        name.encode(),
        0,  # prog_ifindex
        ATTACH_CGROUP_DEVICE,
    )
    try:
        return _bpf(PROG_LOAD, attributes)[0]
    except PermissionError:
        with _unlimited_memlock():
            return _bpf(PROG_LOAD, attributes)[0]


@contextlib.contextmanager
def _unlimited_memlock() -> Iterator[None]:
    """Before Linux 5.11 programs count as locked memory of their user, of which there is little by default."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def attach(cgroup_fd: int, program_fd: int) -> None:
    """Have the program asked for every device that a process in the cgroup, or below it, opens or makes."""
    _bpf(PROG_ATTACH, struct.pack("=IIII", cgroup_fd, program_fd, ATTACH_CGROUP_DEVICE, F_ALLOW_MULTI))


def detach(cgroup_fd: int, program_fd: int) -> None:
    """Have it asked no more."""
    _bpf(PROG_DETACH, struct.pack("=III", cgroup_fd, program_fd, ATTACH_CGROUP_DEVICE))


def attached(cgroup_fd: int) -> list[int]:
    """The ids of the device programs attached to the cgroup itself."""
    ids = (ctypes.c_uint32 * _MAX_PROGRAMS)()
    query = struct.pack("=IIIIQI", cgroup_fd, ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MAX_PROGRAMS)
    _result, answer = _bpf(PROG_QUERY, query)
    (count,) = struct.unpack_from("=I", answer, 24)
    return list(ids[:count])


def open_program(program_id: int) -> int | None:
    """A descriptor (close-on-exec) of a loaded program, None when it has gone."""
    try:
        return _bpf(PROG_GET_FD_BY_ID, struct.pack("=I", program_id))[0]
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            return None
        raise


def name_of(program_fd: int) -> str:
    """The name that the program was loaded with."""
    info = ctypes.create_string_buffer(_INFO_NAME + NAME_LENGTH + 1)
    _bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", program_fd, len(info), ctypes.addressof(info)))
    return info.raw[_INFO_NAME:].split(b"\0", 1)[0].decode("ascii", "replace")
