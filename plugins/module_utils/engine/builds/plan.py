# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps of a build have to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.names import short_id
from ...core.plan import Plan, Step
from .evaluate import Evaluation
from .works import Work

_SHOWN = 80


@dataclass(frozen=True)
class Observation:
    """What is there. `pending` are the steps that nobody has made yet, with their stages.

    `image_id` is what the name means now, `built` what it is to mean, empty while steps are pending. `leftovers`: a
    build of the name was killed; `rubbish`: there may be things in the store that nobody needs then.
    """

    pending: tuple[tuple[int, Work], ...] = ()
    image_id: str = ""
    built: str = ""
    leftovers: bool = False
    rubbish: bool = False


def plan(evaluation: Evaluation, reference: str, seen: Observation) -> Plan:
    """The steps, none when the name means just this image."""
    steps = [Step("clear", reference, "a build of it was cut short")] if seen.leftovers else []
    for stage, work in seen.pending:
        where = f"{evaluation.file}:{work.line}"
        steps.append(Step(work.name, where, _shown(work.text), detail={"stage": stage, "work": work}))
    if seen.pending or seen.built != seen.image_id:
        steps.append(Step("name", reference, _why(seen)))
        if seen.image_id or seen.rubbish:
            steps.append(Step("sweep", "store", "what no image and no container needs"))
    return Plan.of(steps)


def _why(seen: Observation) -> str:
    if not seen.image_id:
        return "it does not exist"
    return f"it is {short_id(seen.image_id)}" + (f", not {short_id(seen.built)}" if seen.built else "")


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
