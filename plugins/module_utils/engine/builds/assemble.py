# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that a build ends in: the target's configuration and history, and the layers of its steps."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ...core.units import timestamp
from ...image.manifest import Descriptor, History, ImageDocument
from .evaluate import Evaluation
from .keys import Keys, latest
from .works import StagePlan


class Assembled(NamedTuple):
    """The document of an image, and the blobs of its layers."""

    document: ImageDocument
    blobs: tuple[Descriptor, ...]


def assemble(keys: Keys) -> Assembled:
    """The image. All steps are done; the same steps give the same image, whenever it is put together."""
    target, chains = keys.evaluation.target, keys.chains
    image = chains.base(target.index).image
    history = _history(keys)
    created = history[-1].created if history else image.created if image else ""
    labels = {**target.config.labels, **keys.wanted.labels}
    document = ImageDocument(
        target.platform.architecture,
        target.platform.os,
        created,
        replace(target.config, labels=labels),
        chains.diff_ids(target.index),
        (*(image.history if image else ()), *history),
        target.author,
        target.platform.variant,
    )
    new = tuple(one.descriptor for one in chains.made(target.index) if one.diff_id)
    return Assembled(document, (*(image.blobs if image else ()), *new))


def _history(keys: Keys) -> tuple[History, ...]:
    """One entry for each instruction. What only changed the configuration is as old as the layer below it."""
    target, chains = keys.evaluation.target, keys.chains
    base = chains.base(target.index)
    fixed = latest(keys.wanted.args)
    created = timestamp(fixed) if fixed else base.image.created if base.image else ""
    made = iter(chains.made(target.index))
    found = []
    for stage in _lineage(keys.evaluation, target):
        for entry in stage.entries:
            done = next(made) if entry.work else None
            created = created if fixed or not done else done.created or created
            found.append(History(created, entry.text, empty_layer=not (done and done.diff_id)))
    return tuple(found)


def _lineage(evaluation: Evaluation, stage: StagePlan) -> list[StagePlan]:
    """The stages that a stage stands on, lowest first, and itself."""
    below = [one for one in evaluation.stages if one.index == stage.below]
    return [*(_lineage(evaluation, below[0]) if below else ()), stage]
