# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a build is made already. Reads only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple, Optional

from ...core.paths import Paths
from ...image import workspace
from ...image.containerfile.where import located
from ...image.manifest import sha256
from ...image.store import StoredImage
from . import cache, names
from .assemble import assemble
from .cache import Made
from .keys import Keys
from .plan import Observation
from .works import StagePlan, Work, origins


class Survey(NamedTuple):
    """What was seen, and the steps that are made, by key. Of the layers of each stage the keys know."""

    seen: Observation
    found: Mapping[str, Made]


def observe(paths: Paths, keys: Keys, there: Optional[StoredImage]) -> Survey:
    """Go through the steps as far as they are made. What stands on a step that is not made is not made either."""
    reference = str(keys.wanted.reference)
    search = _Search(keys, {} if keys.wanted.nocache else cache.find(paths))
    for stage in keys.evaluation.stages:
        search.go_through(stage)
    built = ""
    if keys.evaluation.target.index not in search.stale:
        built = sha256(assemble(keys).document.encode())
    seen = Observation(
        tuple(search.pending),
        there.id if there else "",
        built,
        leftovers=names.left(paths, reference),
        rubbish=os.path.exists(cache.path(paths, reference)) or bool(workspace.abandoned(paths)),
    )
    return Survey(seen, search.found)


class _Search:
    """`stale` are the stages that lack something."""

    def __init__(self, keys: Keys, known: Mapping[str, Made]) -> None:
        self.pending: list[tuple[int, Work]] = []
        self.found: dict[str, Made] = {}
        self.stale: set[int] = set()
        self._keys = keys
        self._known = known

    def go_through(self, stage: StagePlan) -> None:
        if stage.unknown or stage.below in self.stale:
            self.stale.add(stage.index)
        for work in stage.works:
            if stage.index in self.stale or self._lacks(work) or not self._is_made(stage.index, work):
                self.stale.add(stage.index)
                self.pending.append((stage.index, work))

    def _is_made(self, stage: int, work: Work) -> bool:
        with located(self._keys.evaluation.file, work.line):
            key = self._keys.of(stage, work)
        made = self._known.get(key)
        if made is None:
            return False
        self.found[key] = made
        self._keys.chains.add(stage, made)
        return True

    def _lacks(self, work: Work) -> bool:
        """Whether a step takes files of a stage or an image that are not there yet."""
        return any(
            origin.stage in self.stale or (origin.stage < 0 and not origin.is_context and origin.image is None)
            for origin in origins(work)
        )
