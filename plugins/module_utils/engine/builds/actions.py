# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a build is done. Nothing is taken back: what was made is found again by the next build."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...core.paths import Paths
from ...core.plan import Action, Observer, Plan, Step, apply
from ...image.workspace import Workspace
from ...image.writer import ImageWriter
from ..images.actions import ImageActions
from . import run
from .assemble import assemble
from .cache import Made, Progress
from .keys import Keys
from .maker import Maker


def do(
    paths: Paths, keys: Keys, steps: Plan, bases: Collection[str], found: Mapping[str, Made], observer: Observer
) -> None:
    """All steps. `bases` are the ids of images that must stay until the end, `found` are the steps made before."""
    actions = _Actions(paths, keys)
    with actions.writer.store.locked():
        actions.progress.begin(bases, found)
    try:
        apply(steps, actions.table(), observer)
    finally:
        actions.maker.network.remove()


class _Actions:
    """What the steps of one build share."""

    def __init__(self, paths: Paths, keys: Keys) -> None:
        self.paths = paths
        self.keys = keys
        self.progress = Progress(paths, str(keys.wanted.reference))
        self.maker = Maker(paths, keys, self.progress)
        self.writer = ImageWriter(self.maker.store)

    def table(self) -> Mapping[str, Action]:
        """Step name → action."""
        makes = dict.fromkeys(("run", "copy", "add", "workdir"), Action(self.make))
        sweep = Action(ImageActions(self.paths).sweep)
        return {**makes, "clear": Action(self.clear), "name": Action(self.name), "sweep": sweep}

    def clear(self, step: Step) -> None:
        """Remove what a build that was killed has left."""
        run.sweep(self.paths, step.target)
        self.maker.network.remove()

    def make(self, step: Step) -> None:
        """A layer."""
        self.maker.make(step.detail["stage"], step.detail["work"])

    def name(self, step: Step) -> None:
        """The image is whole, and gets its name."""
        document, blobs = assemble(self.keys)
        with Workspace(self.paths), self.writer.store.locked():
            self.writer.name(self.writer.add(document, blobs), step.target)
            self.progress.finish()
