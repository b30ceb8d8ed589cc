# SPDX-License-Identifier: GPL-3.0-or-later
"""Classic BPF as seccomp(2) takes it: instructions, comparisons of 64-bit arguments, a search tree over numbers.

A program is built of blocks that know nothing of their place. Jumps only lead forward, by a distance; every block
either ends in returns, or goes on behind its end when its condition holds and jumps past what follows when not.
The instructions used are those that the kernel can follow when it works out which calls need no run of the filter
at all (kernel/seccomp.c, seccomp_is_const_allow, Linux 5.11).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, Union

# <linux/bpf_common.h>
LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS: a word of struct seccomp_data
JUMP = 0x05
JUMP_EQUAL = 0x15
JUMP_GREATER = 0x25
JUMP_GREATER_EQUAL = 0x35
AND = 0x54
RETURN = 0x06
MAX_INSTRUCTIONS = 4096
MAX_DISTANCE = 255

# struct seccomp_data, <linux/seccomp.h>
NUMBER_OFFSET = 0
ARCHITECTURE_OFFSET = 4
ARGUMENTS_OFFSET = 16

WORD = 0xFFFFFFFF
# Where a comparison's jumps lead: to its next instruction, behind its end, or past what follows it.
_NEXT, _PASS, _FAIL = "next", "pass", "fail"


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    value: int
    if_true: int = 0
    if_false: int = 0


class Comparison(NamedTuple):
    """A condition on one argument of a call. With `MASKED_EQ`, `value` is the mask and `second` what is left of it."""

    argument: int
    operator: str
    value: int
    second: int = 0


Block = list[Instruction]
# What is to become of a call: a value to return, or such a value when conditions hold (the first that fits).
Rules = tuple[tuple[tuple[Comparison, ...], int], ...]
Verdict = Union[int, Rules]
_Step = tuple[int, int, str, str]


def assemble(block: Sequence[Instruction]) -> bytes:
    """The program as the kernel reads it."""
    if len(block) > MAX_INSTRUCTIONS:
        raise ValueError(f"a seccomp filter of {len(block)} instructions is longer than the kernel takes")
    return b"".join(struct.pack("=HBBI", step.code, step.if_true, step.if_false, step.value) for step in block)


def load(offset: int) -> Instruction:
    """Take a word of struct seccomp_data into the accumulator."""
    return Instruction(LOAD, offset)


def give(value: int) -> Block:
    """End with `value`."""
    return [Instruction(RETURN, value)]


def when(code: int, value: int, then: Block, otherwise: Block) -> Block:
    """`then` when the accumulator compares so, else `otherwise`. Conditional jumps have eight bits for a distance."""
    if len(otherwise) <= MAX_DISTANCE:
        return [Instruction(code, value, len(otherwise), 0), *otherwise, *then]
    return [Instruction(code, value, 0, 1), Instruction(JUMP, len(otherwise)), *otherwise, *then]


def decide(ranges: Sequence[tuple[int, Verdict]], default: int) -> Block:
    """A search tree over the number in the accumulator; each range begins at its number, the first one at 0.

    A list of all numbers, as older libseccomps write it, would cost a call at its end hundreds of instructions.
    """
    if len(ranges) == 1:
        return _verdict(ranges[0][1], default)
    middle = len(ranges) // 2
    low, high = decide(ranges[:middle], default), decide(ranges[middle:], default)
    return when(JUMP_GREATER_EQUAL, ranges[middle][0], high, low)


def _verdict(verdict: Verdict, default: int) -> Block:
    if isinstance(verdict, int):
        return give(verdict)
    block = []
    for comparisons, value in verdict:
        block += _rule(comparisons, value)
    return block + give(default)


def _rule(comparisons: Sequence[Comparison], value: int) -> Block:
    """End with `value` when all comparisons hold, else go on behind."""
    block = give(value)
    for comparison in reversed(comparisons):
        block = _resolve(_compare(comparison), len(block)) + block
    return block


def _resolve(steps: Sequence[_Step], following: int) -> Block:
    """Jumps in instructions; `following` are those that a comparison that fails jumps past."""
    block = []
    for index, (code, value, if_true, if_false) in enumerate(steps):
        behind = len(steps) - index - 1
        distance = {_NEXT: 0, _PASS: behind, _FAIL: behind + following}
        block.append(Instruction(code, value, distance[if_true], distance[if_false]))
    return block


def _compare(comparison: Comparison) -> list[_Step]:
    """One comparison: the upper word first, the lower one where that leaves it open (little-endian)."""
    low = ARGUMENTS_OFFSET + 8 * comparison.argument
    upper, lower = comparison.value >> 32, comparison.value & WORD
    load_upper, load_lower = (LOAD, low + 4, _NEXT, _NEXT), (LOAD, low, _NEXT, _NEXT)
    if comparison.operator == "MASKED_EQ":
        return [
            *(load_upper, (AND, upper, _NEXT, _NEXT), (JUMP_EQUAL, comparison.second >> 32, _NEXT, _FAIL)),
            *(load_lower, (AND, lower, _NEXT, _NEXT), (JUMP_EQUAL, comparison.second & WORD, _NEXT, _FAIL)),
        ]
    if comparison.operator in ("EQ", "NE"):
        equal, different = (_PASS, _FAIL) if comparison.operator == "EQ" else (_FAIL, _PASS)
        return [load_upper, (JUMP_EQUAL, upper, _NEXT, different), load_lower, (JUMP_EQUAL, lower, equal, different)]
    code, above, below = {
        "GT": (JUMP_GREATER, _PASS, _FAIL),
        "GE": (JUMP_GREATER_EQUAL, _PASS, _FAIL),
        "LE": (JUMP_GREATER, _FAIL, _PASS),
        "LT": (JUMP_GREATER_EQUAL, _FAIL, _PASS),
    }[comparison.operator]
    return [
        *(load_upper, (JUMP_GREATER, upper, above, _NEXT), (JUMP_EQUAL, upper, _NEXT, below)),
        *(load_lower, (code, lower, above, below)),
    ]
