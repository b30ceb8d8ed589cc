# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices under cgroup v2, which has no files for them: a program that the kernel asks at each open(2) and mknod(2).

The program is eBPF (kernel: Documentation/bpf/standardization/instruction-set.rst), made of what is allowed: for each
entry a comparison that answers "yes" when it covers the access, and "no" at the end. It is recognised by its name,
which is a digest of its instructions.
"""

from __future__ import annotations

import os
import struct

from ...core.errors import HostLacks
from .. import ebpf
from .devices import ALL_ACCESS, ANY, EVERYTHING, Allowed, Device

PREFIX = "mini_"

# struct bpf_cgroup_dev_ctx: u32 access_type (access << 16 | kind), u32 major, u32 minor
_ACCESS_TYPE, _MAJOR, _MINOR = 0, 4, 8
_KIND = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*

LOAD_WORD = 0x61  # BPF_LDX | BPF_W | BPF_MEM
MOVE = 0xBF  # BPF_ALU64 | BPF_MOV | BPF_X
MOVE_NUMBER = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
AND_NUMBER = 0x57
SHIFT_RIGHT = 0x77
JUMP_UNLESS_EQUAL = 0x55
EXIT = 0x95

# The registers: r0 is the answer, r1 holds the context when the program starts.
ANSWER, CONTEXT, KIND, WANTED, MAJOR, MINOR, SCRATCH = range(7)


def instruction(code: int, target: int = 0, number: int = 0, *, source: int = 0, offset: int = 0) -> bytes:
    """struct bpf_insn."""
    return struct.pack("=BBhi", code, source << 4 | target, offset, number)


def compile_program(devices: Allowed) -> bytes:
    """The program that allows what is in `devices` and nothing else."""
    program = [
        instruction(LOAD_WORD, KIND, source=CONTEXT, offset=_ACCESS_TYPE),
        instruction(MOVE, WANTED, source=KIND),
        instruction(AND_NUMBER, KIND, 0xFFFF),
        instruction(SHIFT_RIGHT, WANTED, 16),
        instruction(LOAD_WORD, MAJOR, source=CONTEXT, offset=_MAJOR),
        instruction(LOAD_WORD, MINOR, source=CONTEXT, offset=_MINOR),
    ]
    for device, access in sorted(devices.items()):
        program += _entry(device, access)
    return b"".join([*program, *_answer(0)])


def _answer(value: int) -> list[bytes]:
    return [instruction(MOVE_NUMBER, ANSWER, value), instruction(EXIT)]


def _entry(device: Device, access: int) -> list[bytes]:
    """Answer "yes" if the device is this one and nothing else is wanted of it than `access`; else go on behind it."""
    tests: list[tuple[int, int]] = [(KIND, _KIND[device.kind])]
    prepared = []
    if access != ALL_ACCESS:
        prepared = [instruction(MOVE, SCRATCH, source=WANTED), instruction(AND_NUMBER, SCRATCH, ALL_ACCESS & ~access)]
        tests.append((SCRATCH, 0))
    tests += [
        (register, number) for register, number in ((MAJOR, device.major), (MINOR, device.minor)) if number != ANY
    ]
    jumps = [
        # An offset counts from the next instruction; behind the last comparison are the two of the answer.
        instruction(JUMP_UNLESS_EQUAL, register, number, offset=len(tests) - index - 1 + 2)
        for index, (register, number) in enumerate(tests)
    ]
    return [*prepared, *jumps, *_answer(1)]


def name(devices: Allowed) -> str:
    """The name that the program goes by; empty when everything is allowed and there is no need of one."""
    if devices == EVERYTHING:
        return ""
    import hashlib  # OpenSSL with it, which the monitor of a host without such programs is not to carry

    digest = hashlib.sha256(compile_program(devices)).hexdigest()
    return (PREFIX + digest)[: ebpf.NAME_LENGTH]


def write_v2(directory: str, wanted: Allowed) -> None:
    """Make the cgroup's program the one wanted.

    The new one is attached before the old one is detached. Between the two both are asked and both must agree, so
    that nothing is allowed that either denies.
    """
    cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened: list[int] = []
    try:
        if wanted != EVERYTHING or _supported(cgroup):
            _replace(cgroup, wanted, opened)
    except OSError as exc:
        raise HostLacks(
            f"cannot confine devices: the kernel refuses a device program for cgroup v2 ({exc.strerror})",
            hint="boot a kernel with CONFIG_CGROUP_BPF; only a privileged container can do without",
            path=directory,
            errno=exc.errno,
        ) from exc
    finally:
        for fd in (cgroup, *opened):
            os.close(fd)


def _replace(cgroup: int, wanted: Allowed, opened: list[int]) -> None:
    before = _ours(cgroup, opened)
    new = name(wanted)
    if list(before.values()) == ([new] if new else []):
        return
    if new:
        opened.append(ebpf.load(compile_program(wanted), new))
        ebpf.attach(cgroup, opened[-1])
    for fd in before:
        ebpf.detach(cgroup, fd)


def _supported(cgroup: int) -> bool:
    try:
        ebpf.attached(cgroup)
    except OSError:
        return False
    return True


def _ours(cgroup: int, opened: list[int]) -> dict[int, str]:
    """Our programs on the cgroup, by descriptors that are added to `opened`. Another's can only deny more: it stays."""
    found = {}
    for program_id in ebpf.attached(cgroup):
        fd = ebpf.open_program(program_id)
        if fd is not None:
            opened.append(fd)
            label = ebpf.name_of(fd)
            if label.startswith(PREFIX):
                found[fd] = label
    return found


def drift_v2(directory: str, wanted: Allowed) -> list[str]:
    """What differs, as `devices: no program → mini_0123456789`; nothing to say of a cgroup that is not there."""
    opened: list[int] = []
    try:
        opened.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except FileNotFoundError:
        return []
    try:
        actual = ", ".join(_ours(opened[0], opened).values())
    except OSError as exc:
        # Nothing is attached where nothing can be asked for: right only if nothing was to be.
        actual = f"unknown: {exc.strerror}" if wanted != EVERYTHING else ""
    finally:
        for fd in opened:
            os.close(fd)
    new = name(wanted)
    return [] if actual == new else [f"devices: {actual or 'no program'} → {new or 'no program'}"]
