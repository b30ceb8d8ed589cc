# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers that each stage of a build has so far, and the key of the next step on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import BadInput
from ...image.containerfile.patterns import ignore
from . import cache
from .cache import Made
from .context import Context
from .evaluate import Evaluation
from .spec import EPOCH, BuildSpec
from .works import Copy, Origin, Run, StagePlan, Work, Workdir


class Chains:
    """The layers of each stage so far: those of its base, and what its steps have made."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._stages = {stage.index: stage for stage in evaluation.stages}
        self._made: dict[int, list[Made]] = {stage.index: [] for stage in evaluation.stages}

    def add(self, stage: int, made: Made) -> None:
        """A step of the stage is done."""
        self._made[stage].append(made)

    def made(self, stage: int) -> list[Made]:
        """What the stage's own steps have made, and before them those of the stages that it stands on."""
        below = self._stages[stage].below
        return [*(self.made(below) if below >= 0 else ()), *self._made[stage]]

    def base(self, stage: int) -> StagePlan:
        """The lowest of the stages that it stands on: the one on an image, or on nothing."""
        below = self._stages[stage].below
        return self.base(below) if below >= 0 else self._stages[stage]

    def diff_ids(self, stage: int) -> tuple[str, ...]:
        """The layers, bottom first."""
        image = self.base(stage).image
        return (*(image.diff_ids if image else ()), *(made.diff_id for made in self.made(stage) if made.diff_id))

    def of(self, origin: Origin) -> tuple[str, ...]:
        """The layers of whose files are taken."""
        return self.diff_ids(origin.stage) if origin.stage >= 0 else origin.image.diff_ids if origin.image else ()


class Keys:
    """The keys of a build's steps. What was read of the context is remembered."""

    def __init__(self, context: Context, wanted: BuildSpec, evaluation: Evaluation) -> None:
        self.context = context
        self.wanted = wanted
        self.evaluation = evaluation
        self.chains = Chains(evaluation)
        self._digests: dict[tuple[str, tuple[str, ...]], str] = {}

    def of(self, stage: int, work: Work, *, again: bool = False) -> str:
        """The key of a step on what its stage has so far. With `again`, what it copies is read once more."""
        if again:
            self._digests.clear()
        parts = self._run(work) if isinstance(work, Run) else self._copy(work) if isinstance(work, Copy) else _of(work)
        return cache.key(cache.top(self.chains.diff_ids(stage)), work.name, *parts, self.wanted.args.get(EPOCH, ""))

    def _copy(self, work: Copy) -> tuple[Any, ...]:
        files = [(source, self._files(work.origin, source, work.exclude)) for source in work.sources]
        return files, work.exclude, work.contents, work.target, work.owner, work.mode

    def _files(self, origin: Origin, pattern: str, exclude: tuple[str, ...] = ()) -> Any:
        """What is copied, by its content; out of a stage, the layers that it is in say as much."""
        if not origin.is_context:
            return cache.top(self.chains.of(origin)), pattern
        return [(path, self._digest(path, exclude)) for path in self.context.tree.find(pattern)]

    def _digest(self, path: str, exclude: tuple[str, ...]) -> str:
        if (path, exclude) not in self._digests:
            tree = self.context.tree._replace(exclude=ignore(exclude))
            self._digests[path, exclude] = tree.digest(path)
        return self._digests[path, exclude]

    def _run(self, work: Run) -> tuple[Any, ...]:
        config, mounts = work.config, []
        for mount in work.mounts:
            files = self._files(mount.origin, mount.source or "/") if mount.kind == "bind" else ""
            mounts.append((mount.kind, mount.target, mount.source, mount.options, files))
        around = mounts, work.network or self.wanted.network, dict(self.wanted.etc_hosts)
        return work.command, work.script, work.env, config.user, config.working_dir, *around


def _of(work: Workdir) -> tuple[Any, ...]:
    return work.path, work.owner


def latest(args: Mapping[str, str]) -> int:
    """The time, in ns, that nothing in the image is later than; 0 when nobody asks for one."""
    text = args.get(EPOCH, "")
    if text and not (text.isascii() and text.isdigit() and int(text) < 2**33):
        raise BadInput(f"args: {EPOCH} is {text!r}, and has to be a number of seconds since 1970")
    return int(text or 0) * 10**9
