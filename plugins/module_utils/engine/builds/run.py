# SPDX-License-Identifier: GPL-3.0-or-later
"""RUN: a container like any other, confined as any other, on the layers that the build has so far.

It has a name that no task can give, so that nobody takes it for theirs, and the build's name in it: when we are killed
it goes on alone, and the next build finds it and removes it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Optional

from ...core.errors import BadInput, MiniError, StepFailed
from ...core.paths import Paths
from ...core.plan import Step, apply
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from ...image.store import StoredImage
from ...linux.files import locked
from ..containers import waiting
from ..containers.actions import Actions
from ..containers.converge import remove
from ..containers.observe import observe
from ..containers.plan import Wish, plan
from ..containers.record import ContainerRecord, find
from ..images import commit
from . import names

LAST_LINES = 20
LITTLE = 64 << 10


class Ran(NamedTuple):
    """A RUN that went well: what it changed, as its overlay's upper directory, and which of that is not its own."""

    upper: str
    skip: Collection[bytes]


def run(
    paths: Paths,
    spec: ContainerSpec,
    chain: Sequence[str],
    config: ImageConfig,
    contents: Mapping[str, bytes],
    upper: str,
) -> Ran:
    """Run to the end, and take the changes out of the container, to `upper`; nothing is left of it.

    `StepFailed` has the last lines that it wrote.
    """
    if not chain:
        raise BadInput("there is nothing to run: the stage is empty", hint="copy a program into it first")
    image = StoredImage(chain[-1], (), config, tuple(chain), "", 0, "", "")
    try:
        record = _start(paths, spec, image, contents)
        finished = waiting.wait(paths, record)
        if finished.rc:
            text = f"the command ended with exit code {finished.rc}{_last(finished.output)}"
            raise StepFailed(text, step="run", hint=_hint(paths.state_root))
        # At once: somebody may remove containers that have ended.
        os.rename(paths.container(record.id, "upper"), upper)
        return Ran(upper, commit.left_out(record))
    finally:
        remove(paths, spec.name)


def _start(paths: Paths, spec: ContainerSpec, image: StoredImage, contents: Mapping[str, bytes]) -> ContainerRecord:
    with locked(paths.lock("container", spec.name), f"container {spec.name}") as lock:
        seen = replace(observe(paths, replace(spec, image=""), contents), image=image)
        steps = plan(Wish(spec, contents=contents), seen)
        try:
            apply(steps, _Actions(paths, spec.name, lock, contents).table())
        except MiniError as exc:
            exc.message = exc.message.replace(f"cannot start {spec.name}", "cannot run it")
            raise
    record = find(paths, spec.name)
    if record is None:
        raise StepFailed(f"{spec.name} has been removed by somebody", step="run")
    return record


class _Actions(Actions):
    """Those of a container whose layers are no image's yet: the build's record keeps them."""

    def reserve_name(self, step: Step) -> None:
        """As for any container, but for the image."""
        self._reserve(step.detail["spec"], step.detail["image"], step.detail["mounts"])


def _last(output: str) -> str:
    lines = output.rstrip("\n").splitlines()[-LAST_LINES:]
    return ":\n" + "\n".join(lines) if lines else ", and wrote nothing"


def _hint(path: str) -> Optional[str]:
    """Where the disk is full, the log is not written any more, and the program's own words are missing."""
    found = os.statvfs(path)
    full = found.f_bfree * found.f_frsize < LITTLE or (found.f_files > 0 and found.f_ffree == 0)
    return f"the disk that {path} is on is full: make room there" if full else None


def sweep(paths: Paths, reference: str) -> None:
    """Remove what a build of the name that was killed has left running. The caller holds the build's lock."""
    remove(paths, names.container(reference))
