# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the steps of a build: each makes a layer on those before it, or finds it made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

from ...core.errors import BadInput, Conflict
from ...core.paths import Paths
from ...core.units import timestamp
from ...image.containerfile.where import located
from ...image.intake import NewLayer
from ...image.manifest import chain_ids
from ...image.replica import opened
from ...image.store import ImageStore
from ...image.workspace import Workspace
from ...image.writer import ImageWriter
from ...linux.files import open_in_root
from . import archives, cache, run, users
from .cache import Made, Progress
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
            if isinstance(work, Workdir):
                if _is_directory(root, work.path):
                    return None
                copier = Copier(root, Dress(users.owner(root, work.owner)))
                copier.make(work.path, self.context.time_ns)
            else:
                copier = self._copy(work, root, space)
            copier.finish()
            return layer_of(self.paths, chain, upper, space, latest=self.latest)

    def _run(self, work: Run, chain: Sequence[str], space: Workspace) -> NewLayer:
        room = Room(self.paths, self.wanted, work, space, lambda origin: self._tree(origin, space), self.network.name)
        with room.ready() as (spec, contents):
            done = run.run(self.paths, spec, chain, room.config, contents, space.new("upper"))
        return layer_of(self.paths, chain, done.upper, space, skip=done.skip, latest=self.latest)

    def _copy(self, work: Copy, root: int, space: Workspace) -> Copier:
        """From the context owners are root's, and so are those of a stage when --chown says so."""
        asked = users.owner(root, work.owner) if work.owner else None
        copier = Copier(
            root, Dress(asked or ((0, 0) if work.origin.is_context else None), work.mode, not work.origin.is_context)
        )
        unpacking = Copier(root, Dress(asked, work.mode, trusted=True))
        with self._tree(work.origin, space) as tree:
            for source in work.sources:
                paths = tree.find(source)
                if len(paths) > 1 and not work.target.endswith("/"):
                    raise BadInput(f"{source} is more than one file, so {work.target} must be a directory")
                for path in paths:
                    if work.unpack and tree.is_file(path) and self._unpacked(tree, path, work, unpacking, space):
                        continue
                    copier.copy(tree, path, work.target)
        for document in work.contents:
            copier.write(document.content.encode(), document.name, work.target, self.context.time_ns)
        unpacking.finish()
        return copier

    def _unpacked(self, tree: Tree, path: str, work: Copy, copier: Copier, space: Workspace) -> bool:
        """Whether the file is an archive; what is in it is copied, as it is there."""
        if not tree.is_file(path):
            return False
        directory = space.new("archive")
        os.mkdir(directory, 0o755)
        with tree.open(path) as fd:
            if not archives.is_archive(fd):
                return False
            archives.unpack_into(fd, directory)
        with opened(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            copier.copy(Tree(root, owned=True), "", work.target)
        return True

    @contextmanager
    def _tree(self, origin: Origin, space: Workspace) -> Iterator[Tree]:
        """Whose files are taken."""
        if origin.is_context:
            yield self.context.tree
            return
        with view(self.paths, chain_ids(self.chains.of(origin)), space) as root:
            yield Tree(root, owned=True)


def _is_directory(root: int, path: str) -> bool:
    try:
        os.close(open_in_root(root, path, os.O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    return True
