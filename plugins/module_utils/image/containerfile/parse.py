# SPDX-License-Identifier: GPL-3.0-or-later
"""A Containerfile as stages, each with its instructions. All of it is checked, whether it will be built or not.

Our own parser, and on the managed host, where the file is: of those on PyPI, `dockerfile-parse` knows neither
here-documents nor which instructions replace variables, and `dockerfile` is Docker's own in Go, to be compiled for
each controller. What both leave to their user, the words of an instruction, is most of the work.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...core.errors import BadInput
from .instruction import Instruction, instruction
from .lines import Line, escape_of, read
from .where import located

MAX_SIZE = 2**20
_STAGE = re.compile(r"[a-z][a-z0-9-_.]*\Z")


class Stage(NamedTuple):
    """From one FROM to the next. `image` and `platform` may have variables in them; `name` is in lower case."""

    number: int
    line: int
    image: str
    name: str
    platform: str
    instructions: tuple[Instruction, ...]


class Containerfile(NamedTuple):
    """A whole file. `arguments` are the ARGs before the first FROM."""

    file: str
    escape: str
    arguments: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def stage(self, name: str) -> Stage:
        """The stage of a name, or a number; `BadInput` when there is none."""
        for stage in self.stages:
            if name.lower() == stage.name or name == str(stage.number):
                return stage
        raise BadInput(f"{self.file} has no stage {name!r}")


def parse(text: str, file: str) -> Containerfile:
    """The file; `file` is what errors call it."""
    text = text[1:] if text.startswith("\ufeff") else text
    escape = escape_of(text, file)
    arguments: list[Instruction] = []
    stages: list[Stage] = []
    for line in read(text, escape, file):
        with located(file, line.number):
            found = instruction(line, escape)
            if found.name == "FROM":
                stages.append(_stage(found, stages))
            elif stages:
                last = stages[-1]
                stages[-1] = last._replace(instructions=(*last.instructions, found))
            elif found.name == "ARG":
                arguments.append(found)
            else:
                raise BadInput(f"{found.name} stands before the first FROM", hint="begin with FROM, or FROM scratch")
    if not stages:
        raise BadInput(f"{file}:1: there is no FROM", hint="begin with FROM IMAGE, or FROM scratch")
    return Containerfile(file, escape, tuple(arguments), tuple(stages))


def triggers(texts: tuple[str, ...], line: int) -> tuple[Instruction, ...]:
    """The instructions that an image has kept by ONBUILD, as if they stood in the line that names the image."""
    found = []
    for text in texts:
        for one in read(text, "\\", "ONBUILD"):
            found.append(instruction(Line(line, *one[1:]), "\\"))
    return tuple(found)


def _stage(found: Instruction, before: list[Stage]) -> Stage:
    name = found.args[2].lower() if len(found.args) == 3 else ""
    if name and (not _STAGE.match(name) or name == "scratch"):
        raise BadInput(f"{found.args[2]!r} is not a name for a stage", hint="begin it with a letter")
    if name and name in (stage.name for stage in before):
        raise BadInput(f"there is a stage {name} already")
    return Stage(len(before), found.line, found.args[0], name, found.flag("platform"), ())
