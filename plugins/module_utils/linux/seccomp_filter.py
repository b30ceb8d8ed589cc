# SPDX-License-Identifier: GPL-3.0-or-later
"""`linux.seccomp` of an OCI bundle (runtime specification, config-linux.md) as a program for the kernel.

What a 64-bit machine can be asked in, and the answer:

* its own interface: by the object's rules;
* its 32-bit one (i386, ARM EABI), when the object lists that architecture: by the same rules, over its own numbers;
* x32, which is the x86-64 interface with bit 30 set in the number: ENOSYS, whatever the object says. That is what
  a kernel built without x32 answers, as nearly all are; a second table to get wrong buys nothing;
* any other: the process is killed, as the rules could not mean anything there.

A call that is newer than every call that the rules name is answered by ENOSYS, unless the object lets everything pass
by default: a program (or the C library) that tries it takes the older way then. EPERM would tell it that the call is
there and refused, which is an error to report. runc does the same (libcontainer/seccomp/patchbpf).

Names that an architecture does not have are passed over, as libseccomp's users do. Of several rules for a call one
without conditions counts whatever else there is; of those with conditions the first that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..core.errors import BadInput, HostLacks
from . import bpf
from .bpf import Block, Comparison, Rules, Verdict

# <linux/seccomp.h>; the lower 16 bits are the errno, or what a tracer is told.
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000
ALLOW = 0x7FFF0000
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": ALLOW,
}
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
OPERATORS = {f"SCMP_CMP_{name}": name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")}
EPERM, ENOSYS = 1, 38
# ARM has calls of its own up here (arch/arm/include/uapi/asm/unistd.h); they say nothing about how new a kernel is.
PRIVATE_CALLS = 0x0F0000
X32_BIT = 0x40000000


class Architecture(NamedTuple):
    """An interface of a machine: its name in the specification, its AUDIT_ARCH_*, name → number of its calls."""

    name: str
    token: int
    numbers: Mapping[str, int]


def architectures(machine: str) -> tuple[Architecture, ...]:
    """The machine's own interface and its 32-bit one."""
    if machine == "x86_64":
        from . import syscalls_amd64 as amd64

        native = Architecture("SCMP_ARCH_X86_64", 0xC000003E, parse(amd64.X86_64))
        return (native, Architecture("SCMP_ARCH_X86", 0x40000003, parse(amd64.X86)))
    if machine == "aarch64":
        from . import syscalls_arm64 as arm64

        native = Architecture("SCMP_ARCH_AARCH64", 0xC00000B7, parse(arm64.AARCH64))
        return (native, Architecture("SCMP_ARCH_ARM", 0x40000028, parse(arm64.ARM)))
    raise HostLacks(f"seccomp filters can be made for x86_64 and aarch64, not for {machine}")


def parse(text: str) -> dict[str, int]:
    """A table of syscalls_*.py as name → number."""
    found, number = {}, 0
    for word in text.split():
        if word.isdigit():
            number = int(word)
        else:
            found[word] = number
            number += 1
    return found


def compile_filter(seccomp: Mapping[str, Any], machine: str) -> bytes:
    """The program for `linux.seccomp` on a machine (`os.uname().machine`)."""
    native, *others = architectures(machine)
    listed = seccomp.get("architectures", ())
    program = bpf.give(KILL_PROCESS)
    for architecture in (*(other for other in others if other.name in listed), native):
        program = bpf.when(bpf.JUMP_EQUAL, architecture.token, _section(seccomp, architecture), program)
    return bpf.assemble([bpf.load(bpf.ARCHITECTURE_OFFSET), *program])


def _section(seccomp: Mapping[str, Any], architecture: Architecture) -> Block:
    """The part of the program for one architecture."""
    default = _action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    ranges = list(_ranges(seccomp, architecture, default))
    return [bpf.load(bpf.NUMBER_OFFSET), *bpf.decide(ranges, default)]


def _ranges(seccomp: Mapping[str, Any], architecture: Architecture, default: int) -> Iterator[tuple[int, Verdict]]:
    """What becomes of which numbers: where the answer changes, and to what."""
    calls: dict[int, Verdict] = dict(_verdicts(seccomp.get("syscalls", ()), architecture.numbers, default))
    points = {0: default, **{number + 1: default for number in calls}, **calls}
    if seccomp["defaultAction"] not in PERMISSIVE:
        points.update(_unknown(seccomp.get("syscalls", ()), architecture.numbers, default))
    if architecture.name == "SCMP_ARCH_X86_64":
        points[X32_BIT] = ERRNO | ENOSYS
    last: Verdict | None = None
    for number in sorted(points):
        if points[number] != last:
            last = points[number]
            yield number, last


def _unknown(rules: Iterable[Mapping[str, Any]], numbers: Mapping[str, int], default: int) -> dict[int, Verdict]:
    """Where the calls begin that are newer than the rules, and where ARM's own ones."""
    named = [numbers[name] for rule in rules for name in rule["names"] if name in numbers]
    known = [number for number in named if number < PRIVATE_CALLS]
    if not known:
        return {}
    found: dict[int, Verdict] = {max(known) + 1: ERRNO | ENOSYS}
    private = [number for number in numbers.values() if number >= PRIVATE_CALLS]
    if private and min(private) not in named:
        found[min(private)] = default
    return found


def _verdicts(
    rules: Iterable[Mapping[str, Any]], numbers: Mapping[str, int], default: int
) -> Iterator[tuple[int, Verdict]]:
    """Number → what becomes of the call, for those that have a rule other than the default."""
    always: dict[int, int] = {}
    sometimes: dict[int, Rules] = {}
    for rule in rules:
        value = _action(rule["action"], rule.get("errnoRet"))
        conditions = _conditions(rule.get("args") or ())
        for name in rule["names"] if value != default else ():
            number = numbers.get(name, -1)
            if number < 0:
                continue
            if conditions:
                more = tuple((alternative, value) for alternative in conditions)
                sometimes[number] = sometimes.get(number, ()) + more
            else:
                always.setdefault(number, value)
    yield from ((number, found) for number, found in sometimes.items() if number not in always)
    yield from always.items()


def _conditions(arguments: Iterable[Mapping[str, Any]]) -> list[tuple[Comparison, ...]]:
    """Alternatives of conditions that hold together. Two on the same argument are alternatives, as in runc."""
    found = [_comparison(argument) for argument in arguments]
    if len({comparison.argument for comparison in found}) < len(found):
        return [(comparison,) for comparison in found]
    return [tuple(found)] if found else []


def _comparison(argument: Mapping[str, Any]) -> Comparison:
    operator, index = OPERATORS.get(argument["op"]), argument["index"]
    if operator is None or not 0 <= index <= 5:
        raise BadInput(f"linux.seccomp compares argument {index} by {argument['op']!r}, which nothing can do")
    return Comparison(index, operator, argument["value"], argument.get("valueTwo", 0))


def _action(name: str, number: int | None) -> int:
    """What the filter returns for an action. Only two of them carry an errno, EPERM when none is given."""
    if name not in ACTIONS:
        raise BadInput(f"linux.seccomp asks for {name!r}, which is not an action that can be had here")
    if name not in WITH_ERRNO:
        return ACTIONS[name]
    return ACTIONS[name] | ((EPERM if number is None else number) & 0xFFFF)
