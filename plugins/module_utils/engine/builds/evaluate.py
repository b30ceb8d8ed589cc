# SPDX-License-Identifier: GPL-3.0-or-later
"""A Containerfile, read to the end: which stages are needed, in which order, and what each of them does.

A stage that the target does not lead to is not built. Whether a base image is here, or has to be pulled, is asked of
the caller, image by image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Callable, NamedTuple, Optional

from ...core.errors import BadInput
from ...core.specs.image import ImageConfig
from ...image import platform as platforms
from ...image.containerfile.expand import Lexer
from ...image.containerfile.instruction import Instruction
from ...image.containerfile.parse import Containerfile, Stage, triggers
from ...image.containerfile.where import located
from ...image.platform import Platform
from ...image.store import StoredImage
from ...runtime.bundle import DEFAULT_PATH
from .spec import EPOCH, HOST, BuildSpec
from .stage import PROXIES, Reader
from .works import Entry, Origin, Run, StagePlan

SCRATCH = "scratch"
FindImage = Callable[[str, Optional[Platform]], Optional[StoredImage]]
"""The image of a name, for a platform; None in check mode when it would be pulled."""


class Evaluation(NamedTuple):
    """The stages that are built, in order, the target last; and the task's arguments that no ARG takes."""

    file: str
    stages: tuple[StagePlan, ...]
    unused: tuple[str, ...]

    @property
    def target(self) -> StagePlan:
        """The stage that becomes the image."""
        return self.stages[-1]


def evaluate(file: Containerfile, wanted: BuildSpec, find: FindImage) -> Evaluation:
    """All that can be known before anything is run."""
    return _Evaluator(file, wanted, find).run()


def _builtin(wanted: BuildSpec, target: str) -> dict[str, str]:
    """The arguments that are there without an ARG before the first FROM."""
    found = {"TARGETSTAGE": target}
    for prefix, system in (("BUILD", platforms.host()), ("TARGET", wanted.platform or platforms.host())):
        found[f"{prefix}PLATFORM"] = str(system)
        found.update(
            {f"{prefix}OS": system.os, f"{prefix}ARCH": system.architecture, f"{prefix}VARIANT": system.variant}
        )
    return found


class _Evaluator:
    """Stages by number, as they are needed."""

    def __init__(self, file: Containerfile, wanted: BuildSpec, find: FindImage) -> None:
        self._file = file
        self._wanted = wanted
        self._find = find
        self._known = _builtin(wanted, wanted.target or "default")
        self._done: dict[int, StagePlan] = {}
        self._declared: dict[int, dict[str, str]] = {}
        self._named = {*PROXIES, EPOCH}

    def run(self) -> Evaluation:
        self._see(self._file.arguments)
        for found in self._file.arguments:
            with located(self._file.file, found.line):
                self._global(found.args)
        target = self._file.stage(self._wanted.target) if self._wanted.target else self._file.stages[-1]
        self._stage(target)
        self._see(found for stage in self._file.stages for found in stage.instructions)
        unused = tuple(sorted(set(self._wanted.args) - self._named))
        return Evaluation(self._file.file, tuple(self._done.values()), unused)

    def _see(self, instructions: Iterable[Instruction]) -> None:
        """Which arguments somebody asks for."""
        self._named.update(word.partition("=")[0] for one in instructions if one.name == "ARG" for word in one.args)

    def _global(self, words: tuple[str, ...]) -> None:
        for word in words:
            name, equals, default = word.partition("=")
            value = self._wanted.args.get(name)
            if value is None and equals:
                value = Lexer(self._file.escape).word(default, self._known)
            if value is not None:
                self._known[name] = value

    def _stage(self, stage: Stage) -> StagePlan:
        if stage.number not in self._done:
            with located(self._file.file, stage.line):
                plan = self._read(stage)
            self._done[stage.number] = plan
        return self._done[stage.number]

    def _read(self, stage: Stage) -> StagePlan:
        lexer = Lexer(self._file.escape)
        name = lexer.word(stage.image, self._known)
        if not name:
            raise BadInput(f"FROM {stage.image} names no image", hint="give its ARG a default, or a value in args")
        asked = lexer.word(stage.platform, self._known)
        wanted = platforms.parse(asked) if asked else self._wanted.platform
        below = self._earlier(stage, name)
        image = None if below or name == SCRATCH else self._find(name, wanted)
        config = below.config if below else _with_path(image.config if image else ImageConfig())
        serves = below.platform if below else image.platform if image else wanted or platforms.host()
        reader = Reader(
            self._file.escape, config, self._wanted.args, self._known, lambda text: self._origin(stage, text, wanted)
        )
        self._instructions(stage, reader, below)
        return StagePlan(
            stage.number,
            serves,
            reader.config,
            tuple(reader.entries),
            below.index if below else -1,
            image,
            reader.author or (below.author if below else image.author if image else ""),
            unknown=below.unknown if below else image is None and name != SCRATCH,
        )

    def _instructions(self, stage: Stage, reader: Reader, below: Optional[StagePlan]) -> None:
        """What the base has kept by ONBUILD comes first, once."""
        if below:
            reader.declared.update(self._declared[below.index])
        kept, reader.config = reader.config.on_build, replace(reader.config, on_build=())
        triggered = triggers(kept, stage.line)
        self._see(triggered)
        for found in (*triggered, *stage.instructions):
            with located(self._file.file, found.line):
                reader.read(found)
                _check_network(reader.entries[-1:], self._wanted.network)
        self._declared[stage.number] = dict(reader.declared)

    def _earlier(self, stage: Stage, name: str) -> Optional[StagePlan]:
        for other in reversed(self._file.stages[: stage.number]):
            if other.name and other.name == name.lower():
                return self._stage(other)
        return None

    def _origin(self, stage: Stage, text: str, wanted: Optional[Platform]) -> Origin:
        """A stage before this one by name or number, or else an image."""
        found = self._earlier(stage, text)
        if found is None and text.isdigit():
            if int(text) >= stage.number:
                raise BadInput(f"--from={text}: there is no such stage before this one")
            found = self._stage(self._file.stages[int(text)])
        if found is not None:
            return Origin(found.index)
        if text.lower() in (other.name for other in self._file.stages[stage.number :]):
            raise BadInput(f"--from={text}: the stage has to stand before this one")
        return Origin(reference=text, image=self._find(text, wanted))


def _check_network(entries: Iterable[Entry], allowed: str) -> None:
    """The host's network, with what listens on its loopback, is the task's to give: a file, or what a base image has
    kept by ONBUILD, does not take it."""
    if any(isinstance(one.work, Run) and one.work.network == HOST != allowed for one in entries):
        raise BadInput("--network=host: the task does not give the host's network", hint="give it network: host")


def _with_path(config: ImageConfig) -> ImageConfig:
    """With a PATH, or `ENV PATH=/more:$PATH` would leave nothing else in it."""
    return replace(config, env={"PATH": DEFAULT_PATH, **config.env})
