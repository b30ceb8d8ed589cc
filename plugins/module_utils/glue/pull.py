# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers whose images are fetched first: when a new container needs one that is not there, or on every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

from ..core.errors import ImageMissing, MiniError
from ..core.paths import Paths
from ..core.plan import Plan, Step
from ..engine.containers.converge import Outcome, converge_all
from ..engine.containers.plan import Wish
from ..engine.images.spec import ALWAYS, MISSING, NEVER
from ..image import reference
from ..image.store import ImageStore

Task = tuple[Wish, Mapping[str, Any]]
"""What is asked of a container, and the parameters that say so."""


def converge_with_images(paths: Paths, tasks: Sequence[Task], *, check: bool = False) -> list[Outcome]:
    """As `converge_all`, an image's steps before those of the first container that needs it."""
    wishes = [wish for wish, _params in tasks]
    images = _Images(paths, tasks)
    for number, (wish, params) in enumerate(tasks):
        if policy(params) == ALWAYS and wish.spec.image and wish.state != "absent":
            images.fetch(number, check=check)
    outcomes = converge_all(paths, wishes, check=check)
    lacking = {
        number: outcome.error
        for number, outcome in enumerate(outcomes)
        if isinstance(outcome.error, ImageMissing) and policy(tasks[number][1]) != NEVER
    }
    if lacking and len(lacking) == sum(1 for outcome in outcomes if outcome.error):
        for number, missing in lacking.items():
            try:
                images.fetch(number)
            except MiniError as exc:
                reason = ImageMissing(f"{missing.message}, and {exc.message}", hint=missing.hint)
                return [one._replace(error=reason if one is outcomes[number] else None) for one in outcomes]
        outcomes = converge_all(paths, wishes)
    return [
        outcome._replace(plan=images.steps.get(number, Plan()) + outcome.plan)
        for number, outcome in enumerate(outcomes)
    ]


def policy(params: Mapping[str, Any]) -> str:
    """`pull`, which was a truth value before it had names."""
    given: Union[str, bool] = params["pull"]
    if isinstance(given, bool):
        return ALWAYS if given else MISSING
    return given


class _Images:
    """Images that are fetched, each once. `steps` are what that took, by the number of the task that asked first."""

    def __init__(self, paths: Paths, tasks: Sequence[Task]) -> None:
        self.steps: dict[int, Plan] = {}
        self._paths = paths
        self._tasks = tasks
        self._known: set[tuple[str, str]] = set()

    def _by_id(self, name: str) -> bool:
        """Whether it is not a name, but an id, or the beginning of one that is here."""
        known = bool(reference.id_prefix(name)) and ImageStore(self._paths).find(name) is not None
        return bool(reference.full_id(name)) or known

    def fetch(self, number: int, *, check: bool = False) -> None:
        """Without a login of the task's own: what a registry asks for beyond the usual files is for mini_image."""
        from ..engine.images.converge import ensure
        from .image import image_spec
        from .registry import ANONYMOUS, connection

        params = self._tasks[number][1]
        asked = (params["image"], params["platform"] or "")
        if asked in self._known or self._by_id(params["image"]):
            return
        self._known.add(asked)
        behaviour = params.get("pull_check_mode_behavior")
        if check and behaviour:
            said = Step("pull", params["image"], "pull_check_mode_behavior says so")
            self.steps[number] = Plan.of([said] if behaviour == ALWAYS else [])
            return
        wanted = image_spec({"name": params["image"], "pull": policy(params), "platform": params["platform"]})
        connect = connection(ANONYMOUS, wanted.reference)
        self.steps[number] = ensure(self._paths, wanted, connect=connect, check=check).plan
