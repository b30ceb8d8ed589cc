# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of system calls: what is compiled, run by an interpreter of BPF, beside what the rules say."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import itertools
import operator
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, HostLacks
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.seccomp_file import resolve
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.seccomp_profile import profile
from ansible_collections.mini.containers.plugins.module_utils.linux import seccomp
from ansible_collections.mini.containers.plugins.module_utils.linux.capabilities import DEFAULT, NAMES
from ansible_collections.mini.containers.plugins.module_utils.linux.seccomp_filter import (
    ACTIONS,
    Architecture,
    architectures,
    compile_filter,
)

ALLOW, KILL, ERRNO = ACTIONS["SCMP_ACT_ALLOW"], ACTIONS["SCMP_ACT_KILL_PROCESS"], ACTIONS["SCMP_ACT_ERRNO"]
EPERM, ENOSYS = ERRNO | 1, ERRNO | 38
X86_64, X86 = architectures("x86_64")
AARCH64, ARM = architectures("aarch64")
BOTH = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
RELEASE = "6.1.0"
DOCKER = ["CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE", *DEFAULT]
HIGH = 1 << 32
# What was compiled, by the version that says so. Another program of the same name would never be used.
COMPILED = {1: "e122b677fc3cbebd"}


def as_passed(token: int, value: int) -> int:
    """A register as the filter sees it: 64 bits, of which a 32-bit program fills the lower ones (AUDIT_ARCH_64BIT)."""
    return value % 2**64 if token & 0x80000000 else value % 2**32


class Machine:
    """The kernel's interpreter, as far as these programs go, and a count of the instructions it has run."""

    def __init__(self, program: bytes) -> None:
        self.steps = list(struct.iter_unpack("=HBBI", program))
        self.count = 0

    def run(self, token: int, number: int, *arguments: int) -> int:
        words = [as_passed(token, value) for value in (*arguments, *[0] * (6 - len(arguments)))]
        data = struct.pack("=IIQ6Q", number % 2**32, token, 0, *words)
        accumulator, at, self.count = 0, 0, 0
        while True:
            code, if_true, if_false, value = self.steps[at]
            at += 1
            self.count += 1
            if code == 0x20:
                (accumulator,) = struct.unpack_from("=I", data, value)
            elif code == 0x54:
                accumulator &= value
            elif code == 0x05:
                at += value
            elif code == 0x06:
                return int(value)
            else:
                compare = {0x15: operator.eq, 0x25: operator.gt, 0x35: operator.ge}[code]
                at += if_true if compare(accumulator, value) else if_false


def expected(rules: dict[str, Any], architecture: Architecture, name: str, arguments: Sequence[int]) -> int:
    """The answer by the specification, without any cleverness."""
    found = rules_for(rules, name)
    for rule in sorted(found, key=lambda rule: bool(rule.get("args"))):
        if all(holds(condition, arguments) for condition in rule.get("args", ())):
            return ACTIONS[rule["action"]] | (rule.get("errnoRet", 1) if "ERRNO" in rule["action"] else 0)
    known = [architecture.numbers[n] for rule in rules["syscalls"] for n in rule["names"] if n in architecture.numbers]
    newest = max(number for number in known if number < 0x0F0000)
    return ENOSYS if newest < architecture.numbers[name] < 0x0F0000 else EPERM


def rules_for(rules: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [rule for rule in rules["syscalls"] if name in rule["names"]]


def holds(condition: dict[str, Any], arguments: Sequence[int]) -> bool:
    value, wanted = arguments[condition["index"]] % 2**64, condition["value"]
    if condition["op"] == "SCMP_CMP_MASKED_EQ":
        return value & wanted == condition["valueTwo"]
    return bool(getattr(operator, condition["op"][-2:].lower())(value, wanted))


def default(machine: str, capabilities: Sequence[str] = DOCKER) -> dict[str, Any]:
    return profile(capabilities, RELEASE, machine)


def test_the_tables_are_the_kernels() -> None:
    for architecture, some in (
        (X86_64, {"read": 0, "seccomp": 317, "rseq": 334, "uretprobe": 335, "clone3": 435, "setxattrat": 463}),
        (X86, {"restart_syscall": 0, "socketcall": 102, "socket": 359, "unshare": 310, "clone3": 435}),
        (AARCH64, {"io_setup": 0, "socket": 198, "clone": 220, "seccomp": 277, "clone3": 435}),
        (ARM, {"restart_syscall": 0, "socket": 281, "clone3": 435, "set_tls": 0x0F0005}),
    ):
        assert some.items() <= architecture.numbers.items()
        assert len(set(architecture.numbers.values())) == len(architecture.numbers), "no number twice"


@pytest.mark.parametrize(("file", "architecture"), [("unistd_64.h", X86_64), ("unistd_32.h", X86)])
def test_the_headers_of_this_machine_agree(file: str, architecture: Architecture) -> None:
    found = [Path(root, "asm", file) for root in ("/usr/include", "/usr/include/x86_64-linux-gnu")]
    header = next((path for path in found if path.exists()), None)
    if header is None:
        pytest.skip(f"no {file} here")
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    for name in set(numbers) & set(architecture.numbers):
        assert architecture.numbers[name] == int(numbers[name])
    newest = max(architecture.numbers.values())
    assert not [name for name in numbers if name not in architecture.numbers and int(numbers[name]) < newest]


@pytest.mark.parametrize(("machine", "count"), [("x86_64", 370), ("aarch64", 374)])
def test_as_many_calls_are_allowed_as_under_docker(machine: str, count: int) -> None:
    rules = default(machine)["syscalls"]
    assert len({name for rule in rules if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}) == count


@BOTH
@pytest.mark.parametrize("capabilities", [DOCKER, DEFAULT, [], ["CAP_SYS_ADMIN"], NAMES], ids=len)
def test_every_call_of_every_architecture(machine: str, capabilities: list[str]) -> None:
    rules = default(machine, capabilities)
    program = Machine(compile_filter(rules, machine))
    samples = (0, 1, 8, 37, 38, 39, 40, 41, 45, 63, 64, 0x20008, 0x7E020000, 0x11, 0xFFFFFFFF, -1, HIGH, HIGH + 38)
    for architecture in architectures(machine):
        for name, number in architecture.numbers.items():
            conditions = any(rule.get("args") for rule in rules_for(rules, name))
            for value in samples if conditions else (0, -1):
                arguments = (as_passed(architecture.token, value),) * 6
                found = program.run(architecture.token, number, *arguments)
                assert found == expected(rules, architecture, name, arguments), (architecture.name, name, hex(value))


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        *[(name, (), EPERM) for name in "unshare mount keyctl add_key io_uring_setup userfaultfd kexec_load".split()],
        *[(name, (), EPERM) for name in "pivot_root bpf setns swapon init_module open_by_handle_at".split()],
        *[("socket", (family,), ALLOW) for family in (1, 2, 10, 16, 17, 37, 39, 41, 42, 43, 44, 45, 46, 63)],
        *[("socket", (family,), EPERM) for family in (38, 40, HIGH + 38, HIGH + 40, 7 * HIGH + 38, -1)],
        *[("personality", (value,), ALLOW) for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF)],
        *[("personality", (value,), EPERM) for value in (1, 0x40000, 0x20009, 0x400000, HIGH, 0x28)],
        *[("clone", (0x11 | flag,), ALLOW) for flag in (0, 0x100, 0x3D0F00, 0x80)],
        *[("clone", (0x11 | 1 << bit,), EPERM) for bit in (17, 25, 26, 27, 28, 29, 30)],
        ("clone3", (), ENOSYS),
        ("ptrace", (), ALLOW),
        ("chroot", (), ALLOW),
        ("open_tree_attr", (), ENOSYS),
    ],
)
@BOTH
def test_what_the_default_answers(machine: str, name: str, arguments: tuple[int, ...], answer: int) -> None:
    program = Machine(compile_filter(default(machine), machine))
    for architecture in architectures(machine):
        if all(as_passed(architecture.token, value) == value % 2**64 for value in arguments):
            assert program.run(architecture.token, architecture.numbers[name], *arguments) == answer


def test_before_4_8_nothing_is_traced() -> None:
    program = Machine(compile_filter(profile(DOCKER, "4.7.10-generic", "x86_64"), "x86_64"))
    assert program.run(X86_64.token, X86_64.numbers["ptrace"]) == EPERM


def test_other_interfaces_are_closed() -> None:
    program = Machine(compile_filter(default("x86_64"), "x86_64"))
    assert program.run(X86_64.token, X86_64.numbers["getpid"]) == ALLOW
    assert program.run(X86_64.token, 0x40000000 | X86_64.numbers["getpid"]) == ENOSYS
    assert program.run(X86_64.token, -1) == ENOSYS
    assert program.run(AARCH64.token, AARCH64.numbers["getpid"]) == KILL
    native = Machine(compile_filter({**default("x86_64"), "architectures": ["SCMP_ARCH_X86_64"]}, "x86_64"))
    assert native.run(X86.token, X86.numbers["getpid"]) == KILL
    open_ = Machine(compile_filter({"defaultAction": "SCMP_ACT_ALLOW"}, "x86_64"))
    assert open_.run(X86_64.token, 0x40000000 | X86_64.numbers["getpid"]) == ENOSYS, "rules must not be stepped around"


def test_calls_newer_than_the_rules() -> None:
    rules = {
        "defaultAction": "SCMP_ACT_KILL",
        "syscalls": [{"names": ["openat2", "nonsense"], "action": "SCMP_ACT_LOG"}],
    }
    program = Machine(compile_filter(rules, "x86_64"))
    assert [program.run(X86_64.token, number) for number in (436, 437, 438)] == [0, ACTIONS["SCMP_ACT_LOG"], ENOSYS]
    for action, answer in (("SCMP_ACT_ALLOW", ALLOW), ("SCMP_ACT_LOG", ACTIONS["SCMP_ACT_LOG"])):
        lenient = {"defaultAction": action, "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ERRNO"}]}
        assert Machine(compile_filter(lenient, "x86_64")).run(X86_64.token, 10000) == answer


def test_arms_own_calls_are_not_newer() -> None:
    program = Machine(compile_filter(default("aarch64"), "aarch64"))
    answers = {0x0F0002: ALLOW, 0x0F0003: EPERM, 0x0F0005: ALLOW, 0x0F0006: EPERM, 0x0EFFFF: ENOSYS, 500: ENOSYS}
    assert {number: program.run(ARM.token, number) for number in answers} == answers


@pytest.mark.parametrize("action", ACTIONS)
def test_actions(action: str) -> None:
    rules = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": action, "errnoRet": 7}]}
    answer = Machine(compile_filter(rules, "x86_64")).run(X86_64.token, 0)
    assert answer == ACTIONS[action] | (7 if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else 0)


VALUES = sorted({base + step for base in (0, 5, HIGH, 5 * HIGH + 5, 2**63, 2**64 - 2) for step in (-1, 0, 1)} - {-1})


@pytest.mark.parametrize("name", ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
def test_operators_compare_64_bits(name: str) -> None:
    for value, second in itertools.product(VALUES, (0, 4, 4 * HIGH) if name == "MASKED_EQ" else (0,)):
        condition = {"index": 3, "value": value, "valueTwo": second, "op": f"SCMP_CMP_{name}"}
        rules = {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [condition]}],
        }
        program = Machine(compile_filter(rules, "x86_64"))
        for actual in VALUES:
            arguments = (1, 2, 3, actual, 5, 6)
            assert program.run(X86_64.token, 0, *arguments) == (ALLOW if holds(condition, arguments) else EPERM)


def rule(action: str, *conditions: tuple[int, str, int]) -> dict[str, Any]:
    arguments = [{"index": index, "op": f"SCMP_CMP_{op}", "value": value} for index, op, value in conditions]
    return {"names": ["read"], "action": f"SCMP_ACT_{action}", "args": arguments}


@pytest.mark.parametrize(
    ("rules", "arguments", "answer"),
    [
        ([rule("ALLOW", (0, "EQ", 1), (1, "EQ", 2))], (1, 2), ALLOW),
        ([rule("ALLOW", (0, "EQ", 1), (1, "EQ", 2))], (1, 3), EPERM),
        ([rule("ALLOW", (0, "EQ", 1), (0, "EQ", 2))], (2,), ALLOW),
        ([rule("ALLOW", (0, "EQ", 1)), rule("TRAP", (0, "GE", 1))], (1,), ALLOW),
        ([rule("ALLOW", (0, "EQ", 1)), rule("TRAP", (0, "GE", 1))], (2,), ACTIONS["SCMP_ACT_TRAP"]),
        ([rule("TRAP", (0, "EQ", 1)), rule("ALLOW")], (1,), ALLOW),
        ([rule("ERRNO"), rule("ALLOW", (0, "EQ", 1))], (1,), ALLOW),
        ([rule("ALLOW", *[(index, "LE", HIGH) for index in range(6)])], (HIGH,) * 6, ALLOW),
        ([rule("ALLOW", *[(index, "LE", HIGH) for index in range(6)])], (*[HIGH] * 5, HIGH + 1), EPERM),
    ],
)
def test_rules_together(rules: list[dict[str, Any]], arguments: tuple[int, ...], answer: int) -> None:
    program = Machine(compile_filter({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}, "x86_64"))
    assert program.run(X86_64.token, 0, *arguments) == answer


def test_long_programs_jump_far() -> None:
    names = list(X86_64.numbers)
    rules = [{**rule("ALLOW", (0, "EQ", number)), "names": [name]} for number, name in enumerate(names)]
    program = Machine(compile_filter({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}, "x86_64"))
    for number, name in enumerate(names):
        assert program.run(X86_64.token, X86_64.numbers[name], number) == ALLOW
        assert program.run(X86_64.token, X86_64.numbers[name], number + 1) == EPERM


@BOTH
def test_short_and_fast(machine: str) -> None:
    program = Machine(compile_filter(default(machine), machine))
    assert len(program.steps) < 700
    for architecture in architectures(machine):
        for number in architecture.numbers.values():
            program.run(architecture.token, number)
            assert program.count < 40, number


def test_what_cannot_be_had_is_refused() -> None:
    for rules in (
        {"defaultAction": "SCMP_ACT_NONSENSE"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("NONSENSE")]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("ERRNO", (6, "EQ", 0))]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("ERRNO", (0, "LIKE", 0))]},
    ):
        with pytest.raises(BadInput, match=r"linux\.seccomp"):
            compile_filter(rules, "x86_64")
    with pytest.raises(BadInput, match="NEW_LISTENER"):
        seccomp.flag_bits(["SECCOMP_FILTER_FLAG_NEW_LISTENER"])
    with pytest.raises(HostLacks, match="mips64"):
        compile_filter(default("mips64"), "mips64")
    assert [seccomp.flag_bits(flags) for flags in (None, [], ["SECCOMP_FILTER_FLAG_LOG"])] == [4, 0, 2]


def test_flags_that_go_with_a_listener_and_without() -> None:
    names = [f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "WAIT_KILLABLE_RECV")]
    assert seccomp.flag_bits(names) == 1 | 2
    assert seccomp.flag_bits(names, listener=True) == seccomp.NEW_LISTENER | 2 | 32


@pytest.mark.parametrize("where", ["default", "rule"])
def test_a_container_of_ours_has_no_listener(where: str) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("NOTIFY")]}
    if where == "default":
        profile = {"defaultAction": "SCMP_ACT_NOTIFY"}
    with pytest.raises(BadInput, match="SCMP_ACT_NOTIFY, whose listener"):
        resolve(profile, (), RELEASE, "x86_64")


def test_another_program_has_another_version() -> None:
    """A program is kept under a name with this number: raise it, and write down the new digest, when this fails."""
    programs = b"".join(compile_filter(default(machine), machine) for machine in ("x86_64", "aarch64"))
    assert hashlib.sha256(programs).hexdigest()[:16] == COMPILED[seccomp.FILTER_VERSION]


# the same by libseccomp


class Condition(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("op", ctypes.c_int), ("value", ctypes.c_uint64), ("second", ctypes.c_uint64)]


OPERATORS = {f"SCMP_CMP_{name}": n for n, name in enumerate("NE LT LE EQ GE GT MASKED_EQ".split(), start=1)}


@pytest.fixture(scope="module")
def library() -> Any:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("no libseccomp here")
    found = ctypes.CDLL(name)
    found.seccomp_init.restype = ctypes.c_void_p
    found.seccomp_rule_add_array.argtypes = (
        *(ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Condition)),
    )
    for call in (found.seccomp_arch_add, found.seccomp_arch_remove, found.seccomp_export_bpf):
        call.argtypes = (ctypes.c_void_p, ctypes.c_int)
    found.seccomp_arch_add.argtypes = found.seccomp_arch_remove.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    found.seccomp_release.argtypes = (ctypes.c_void_p,)
    return found


def theirs(library: Any, rules: dict[str, Any], machine: str) -> bytes:
    """The rules' program as libseccomp makes it."""
    context = library.seccomp_init(EPERM)
    for architecture in architectures(machine):
        library.seccomp_arch_add(context, architecture.token)
    for other in {X86_64.token, AARCH64.token} - {architectures(machine)[0].token}:
        library.seccomp_arch_remove(context, other)
    for one in rules["syscalls"]:
        conditions = [Condition(a["index"], OPERATORS[a["op"]], a["value"], a["valueTwo"]) for a in one.get("args", ())]
        action = ACTIONS[one["action"]] | one.get("errnoRet", 0)
        for name in one["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1:
                array = (Condition * len(conditions))(*conditions)
                library.seccomp_rule_add_array(context, action, number, len(conditions), array)
    fd = os.memfd_create("filter")
    try:
        assert library.seccomp_export_bpf(context, fd) == 0
        return os.pread(fd, 1 << 20, 0)
    finally:
        os.close(fd)
        library.seccomp_release(context)


def known(library: Any, architecture: Architecture) -> Iterator[tuple[str, int]]:
    for name, number in architecture.numbers.items():
        if library.seccomp_syscall_resolve_name_arch(architecture.token, name.encode()) == number:
            yield name, number


@BOTH
@pytest.mark.parametrize("capabilities", [DOCKER, NAMES], ids=len)
def test_libseccomp_says_the_same(library: Any, machine: str, capabilities: list[str]) -> None:
    rules = default(machine, capabilities)
    ours, reference = Machine(compile_filter(rules, machine)), Machine(theirs(library, rules, machine))
    compared = 0
    for architecture in architectures(machine):
        for name, number in known(library, architecture):
            conditions = any(rule.get("args") for rule in rules_for(rules, name))
            for value in (0, 8, 38, 39, 40, 45, 0x20000, 0x7E020000, HIGH + 38, -1) if conditions else (0,):
                answer = ours.run(architecture.token, number, value)
                if answer != ENOSYS or name == "clone3":
                    assert answer == reference.run(architecture.token, number, value), (architecture.name, name, value)
                    compared += 1
    assert compared > 600
