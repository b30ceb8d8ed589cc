# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the steps of a build: each makes a layer on those before it, or finds it made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

from ...core.errors import Conflict
from ...core.paths import Paths
from ...core.units import timestamp
from ...image.containerfile.where import located
from ...image.intake import NewLayer
from ...image.manifest import chain_ids
from ...image.store import ImageStore
from ...image.workspace import Workspace
from ...image.writer import ImageWriter
from . import cache, run, users
from .cache import Made, Progress
from .copy import copy
from .copying import Copier, Dress
from .keys import Keys, latest
from .network import Network
from .runspec import Room
from .sources import Tree
from .works import Copy, Origin, Run, Work, Workdir
from .workshop import bench, layer_of, view


class Maker:
    """Makes the layers of one build, in a workspace of its own."""

    def __init__(self, paths: Paths, keys: Keys, progress: Progress) -> None:
        self.paths = paths
        self.keys = keys
        self.chains = keys.chains
        self.wanted = keys.wanted
        self.context = keys.context
        self.progress = progress
        self.store = ImageStore(paths)
        self.writer = ImageWriter(self.store)
        self.latest = latest(self.wanted.args)
        self.network = Network(paths, str(self.wanted.reference))

    def make(self, stage: int, work: Work) -> None:
        """One step: from the cache, where a step before it made what it had made before, or anew."""
        with located(self.keys.evaluation.file, work.line):
            key = self.keys.of(stage, work)
            made = None if self.wanted.nocache else cache.find(self.paths).get(key)
            if made is None:
                with Workspace(self.paths) as space:
                    made = self._anew(stage, work, key, space)
            else:
                with self.store.locked():
                    self.progress.keep(key, made)
            self.chains.add(stage, made)

    def _anew(self, stage: int, work: Work, key: str, space: Workspace) -> Made:
        below = self.chains.diff_ids(stage)
        layer = self._layer(work, chain_ids(below), space)
        if self.keys.of(stage, work, again=True) != key:
            raise Conflict("what it copies was changed meanwhile", hint="run the task again")
        made = Made()
        with self.store.locked():
            if layer is not None:
                top = cache.top((*below, layer.diff_id))
                kind, digest, size, *_notes = layer.descriptor
                made = Made(layer.diff_id, digest, size, kind, timestamp(layer.newest), top)
                self.writer.shelve(layer, top)
            self.progress.keep(key, made)
        return made

    def _layer(self, work: Work, chain: Sequence[str], space: Workspace) -> Optional[NewLayer]:
        """None when there was nothing to do."""
        if isinstance(work, Run):
            return self._run(work, chain, space)
        with bench(self.paths, chain, space) as (root, upper):
            if isinstance(work, Copy):
                with self._tree(work.origin, space) as tree:
                    copy(work, tree, root, space, self.context.time_ns)
            elif not self._directory(work, root):
                return None
            return layer_of(self.paths, chain, upper, space, latest=self.latest)

    def _run(self, work: Run, chain: Sequence[str], space: Workspace) -> NewLayer:
        room = Room(self.paths, self.wanted, work, space, lambda origin: self._tree(origin, space), self.network.name)
        with room.ready() as (spec, contents):
            done = run.run(self.paths, spec, chain, room.config, contents, space.new("upper"))
        return layer_of(self.paths, chain, done.upper, space, skip=done.skip, latest=self.latest)

    def _directory(self, work: Workdir, root: int) -> bool:
        """Whether it had to be made."""
        copier = Copier(root, Dress(users.owner(root, work.owner)))
        if copier.is_directory(work.path):
            return False
        copier.make(work.path, self.context.time_ns)
        copier.finish()
        return True

    @contextmanager
    def _tree(self, origin: Origin, space: Workspace) -> Iterator[Tree]:
        """Whose files are taken."""
        if origin.is_context:
            yield self.context.tree
            return
        with view(self.paths, chain_ids(self.chains.of(origin)), space) as root:
            yield Tree(root, owned=True)
