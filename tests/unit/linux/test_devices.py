# SPDX-License-Identifier: GPL-3.0-or-later
"""The device rules of a bundle: what they come to, cgroup v1's files and v2's program of them."""

from __future__ import annotations

import itertools
import random
import resource
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, HostLacks, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.linux import ebpf
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import device_program, devices, v1
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.devices import ANY, EVERYTHING, Device

READ, WRITE, MKNOD = 2, 4, 1
RULES: list[dict[str, Any]] = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 8, "access": "r"},
]


def fold(*rules: str) -> devices.Allowed:
    """Rules as `+c 1:3 rw` and `-a`."""
    found = devices.allowed({"devices": [_rule(rule) for rule in rules]})
    assert found is not None
    return found


def _rule(text: str) -> dict[str, Any]:
    kind, numbers, access = [*text[1:].split(), "*:*", "rwm"][:3] if " " not in text else text[1:].split()
    rule: dict[str, Any] = {"allow": text[0] == "+", "type": kind, "access": access}
    for name, number in zip(("major", "minor"), numbers.split(":")):
        if number != "*":
            rule[name] = int(number)
    return rule


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), "none"),
        (("-a",), "none"),
        (("+a",), "b *:* rwm, c *:* rwm"),
        (("+a", "-a"), "none"),
        (("+a *:* r", "-b *:* rwm"), "c *:* r"),
        (("+c 1:3 r", "+c 1:3 w"), "c 1:3 rw"),
        (("+c 1:3 rwm", "-c 1:3 w"), "c 1:3 rm"),
        (("+c 1:3 rwm", "+c 1:5 rwm", "+c 2:3 rwm", "-c 1:* w"), "c 1:3 rm, c 1:5 rm, c 2:3 rwm"),
        (("-c 1:3 rwm", "+c 1:3 r"), "c 1:3 r"),
        (("+c *:* m", "-c 1:3 rw"), "c *:* m"),
        (("+u 4:* r", "-b 4:1 rwm"), "c 4:* r"),
    ],
)
def test_a_later_rule_wins(rules: tuple[str, ...], expected: str) -> None:
    assert devices.show(fold(*rules)) == expected


@pytest.mark.parametrize("rules", [("+a", "-c 10:229 rwm"), ("+c 10:* rw", "-c *:229 w")])
def test_a_hole_is_refused(rules: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="cannot be denied after"):
        fold(*rules)


def test_a_missing_field_means_all() -> None:
    assert devices.allowed({"devices": [{"allow": True}]}) == EVERYTHING
    assert devices.allowed({}) is None


def test_lists_of_the_kernel_are_read() -> None:
    assert devices.parse("a *:* rwm") == EVERYTHING
    assert devices.parse("c 1:3 rwm\nb *:* m\n") == {Device("c", 1, 3): 7, Device("b", ANY, ANY): MKNOD}
    assert devices.parse("") == {}


class Kernel:
    """cgroup v1's device files as security/device_cgroup.c has them, behind `write_kernel`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exceptions: devices.Allowed = {}
        self.writes: list[str] = []
        self._show("a *:* rwm")

    def _show(self, text: str) -> None:
        (self.directory / "devices.list").write_text(text)

    def write(self, path: str, rule: str) -> None:
        self.writes.append(f"{Path(path).name[8:]} {rule}")
        if rule == "a":
            self.exceptions = {}
        else:
            ((device, access),) = devices.parse(rule).items()
            before = self.exceptions.get(device, 0)
            self.exceptions[device] = before | access if path.endswith("allow") else before & ~access
        lines = [devices.show({device: access}) for device, access in self.exceptions.items() if access]
        self._show("\n".join(lines))


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    (tmp_path / "mini" / "c").mkdir(parents=True)
    found = Kernel(tmp_path / "mini" / "c")
    monkeypatch.setattr(devices, "write_kernel", found.write)
    return found


@pytest.fixture
def cgroup(tmp_path: Path, kernel: Kernel) -> v1.CgroupV1:
    return v1.CgroupV1({str(tmp_path): "devices"}, "/mini/c")


def test_v1_denies_first(cgroup: v1.CgroupV1, kernel: Kernel) -> None:
    cgroup.create({"devices": RULES})
    assert kernel.writes[0] == "deny a"
    assert sorted(kernel.writes[1:]) == [
        "allow b *:* m",
        "allow c *:* m",
        "allow c 136:* rwm",
        "allow c 1:3 rwm",
        "allow c 1:8 r",
    ]
    assert cgroup.drift({"devices": RULES}) == []


def test_v1_writes_differences_only(cgroup: v1.CgroupV1, kernel: Kernel) -> None:
    cgroup.create({"devices": RULES})
    kernel.writes.clear()
    cgroup.update({"devices": RULES})
    assert kernel.writes == []
    kernel.write("devices.allow", "b 8:0 r")
    kernel.write("devices.deny", "c 1:3 w")
    kernel.writes.clear()
    assert cgroup.drift({"devices": RULES}) == ["devices: b 8:0 r → c 1:3 w"]
    cgroup.update({"devices": RULES})
    assert kernel.writes == ["allow c 1:3 w", "deny b 8:0 r"]
    assert cgroup.drift({"devices": RULES}) == []


def test_v1_opened_by_hand_is_closed(cgroup: v1.CgroupV1, kernel: Kernel) -> None:
    cgroup.create({"devices": RULES})
    (kernel.directory / "devices.list").write_text("a *:* rwm\n")
    (told,) = cgroup.drift({"devices": RULES})
    assert told.startswith("devices: b *:* rw, c *:* rw → ")
    cgroup.update({"devices": RULES})
    assert cgroup.drift({"devices": RULES}) == []


def test_v1_all_allowed_is_left_as_it_is(cgroup: v1.CgroupV1, kernel: Kernel) -> None:
    cgroup.create({"devices": [{"allow": True}]})
    assert kernel.writes == []
    assert cgroup.drift({"devices": [{"allow": True}]}) == []


def test_v1_without_the_controller_is_an_error(tmp_path: Path) -> None:
    group = v1.CgroupV1({str(tmp_path): "pids"}, "/mini/c")
    with pytest.raises(HostLacks, match="no devices cgroup controller; mount it"):
        group.create({"devices": RULES})
    group.create({"devices": [{"allow": True}]})
    group.create({})


def test_v1_a_refusal_names_the_rule(tmp_path: Path) -> None:
    (tmp_path / "devices.list").write_text("a *:* rwm")
    (tmp_path / "devices.deny").symlink_to("/dev/full")
    with pytest.raises(StepFailed, match=r"refuses the device rule 'a' \(.*devices.deny\): No space left"):
        devices.write_v1(str(tmp_path), fold("+c 1:3 r"))


def answer(program: bytes, kind: int, major: int, minor: int, access: int) -> int:
    """What the kernel's machine would answer: an interpreter of the few instructions that are used."""
    context = struct.pack("=III", access << 16 | kind, major, minor)
    registers, at = [0] * 11, 0
    while True:
        code, both, offset, number = struct.unpack_from("=BBhi", program, at * 8)
        target, source = both & 15, both >> 4
        at += 1
        if code == device_program.LOAD_WORD:
            assert source == device_program.CONTEXT
            (registers[target],) = struct.unpack_from("=I", context, offset)
        elif code == device_program.MOVE:
            registers[target] = registers[source]
        elif code == device_program.MOVE_NUMBER:
            registers[target] = number
        elif code == device_program.AND_NUMBER:
            registers[target] &= number
        elif code == device_program.SHIFT_RIGHT:
            registers[target] >>= number
        elif code == device_program.JUMP_UNLESS_EQUAL:
            at += offset if registers[target] != number else 0
        else:
            assert code == device_program.EXIT
            return registers[0]


BLOCK, CHARACTER = 1, 2


@pytest.mark.parametrize(
    ("kind", "major", "minor", "access", "expected"),
    [
        (CHARACTER, 1, 3, READ | WRITE, 1),
        (CHARACTER, 1, 3, MKNOD, 1),
        (CHARACTER, 136, 99, READ | WRITE | MKNOD, 1),
        (CHARACTER, 1, 8, READ, 1),
        (CHARACTER, 1, 8, READ | WRITE, 0),
        (CHARACTER, 1, 11, READ, 0),
        (CHARACTER, 1, 11, MKNOD, 1),
        (CHARACTER, 2, 3, READ, 0),
        (BLOCK, 1, 3, READ, 0),
        (BLOCK, 8, 0, READ, 0),
        (BLOCK, 8, 0, MKNOD, 1),
        (BLOCK, 8, 0, MKNOD | WRITE, 0),
    ],
)
def test_the_program_decides(kind: int, major: int, minor: int, access: int, expected: int) -> None:
    allowed = devices.allowed({"devices": RULES})
    assert allowed is not None
    assert answer(device_program.compile_program(allowed), kind, major, minor, access) == expected


def test_the_program_agrees_with_the_rules_read_one_by_one() -> None:
    """The last rule that matches decides, whatever list and program are made of them."""
    chance = random.Random(1)
    compared = 0
    for _round in range(300):
        rules = [
            f"{chance.choice('+-')}{chance.choice('abc')} {chance.choice(('*', '1', '2'))}:{chance.choice(('*', '3'))}"
            f" {chance.choice(('r', 'w', 'm', 'rw', 'rwm'))}"
            for _number in range(chance.randint(0, 6))
        ]
        try:
            program = device_program.compile_program(fold(*rules))
        except BadInput:
            continue
        for kind, major, minor, access in itertools.product("bc", (1, 2, 5), (3, 4), "rwm"):
            expected = _last_match(rules, kind, major, minor, access)
            found = answer(program, BLOCK if kind == "b" else CHARACTER, major, minor, devices.ACCESS[access])
            assert found == expected, (rules, kind, major, minor, access)
            compared += 1
    assert compared > 3000


def _last_match(rules: list[str], kind: str, major: int, minor: int, access: str) -> int:
    decided = 0
    for rule in rules:
        kinds, numbers, letters = rule[1:].split()
        first, second = numbers.split(":")
        if kinds in ("a", kind) and first in ("*", str(major)) and second in ("*", str(minor)) and access in letters:
            decided = int(rule[0] == "+")
    return decided


def test_a_program_has_a_name_of_its_own() -> None:
    names = {device_program.name(fold(*rules)) for rules in ((), ("+c 1:3 r",), ("+c 1:3 w",), ("+b 1:3 r",))}
    assert len(names) == 4
    assert all(len(name) == 15 and name.startswith("mini_") for name in names)
    assert device_program.name(fold("+c 1:3 r", "+c 1:5 r")) == device_program.name(fold("+c 1:5 r", "+c 1:3 r"))
    assert device_program.name(EVERYTHING) == ""


def test_locked_memory_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 5.11 the default limit is soon used up. It is as before afterwards: a container inherits it."""
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    limits = [before]
    asked = []

    def call(command: int, _attributes: bytes) -> tuple[int, bytes]:
        asked.append(limits[-1])
        if len(asked) == 1:
            raise PermissionError(1, "Operation not permitted")
        return 7, b""

    monkeypatch.setattr(ebpf, "_bpf", call)
    monkeypatch.setattr(resource, "setrlimit", lambda _which, value: limits.append(value))
    assert ebpf.load(device_program.compile_program({}), "mini_test") == 7
    assert asked == [before, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)]
    assert limits[-1] == before
