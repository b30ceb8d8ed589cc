# SPDX-License-Identifier: GPL-3.0-or-later
"""A container whose image is fetched first: when a new container needs one that is not there, or on every task."""

from __future__ import annotations

from typing import Any

from ..core.errors import ImageMissing, MiniError
from ..core.paths import Paths
from ..core.plan import Plan
from ..engine.containers.converge import Outcome, converge
from ..engine.containers.plan import Wish
from ..engine.images.spec import ALWAYS, NEVER


def converge_with_image(paths: Paths, asked: Wish, params: dict[str, Any], *, check: bool = False) -> Outcome:
    """As `converge`, the image's steps before the container's."""
    before = Plan.of([])
    if params["pull"] == ALWAYS and asked.spec.image and asked.state != "absent":
        before = _pull(paths, params, check=check)
    try:
        outcome = converge(paths, asked, check=check)
    except ImageMissing as missing:
        if params["pull"] == NEVER:
            raise
        try:
            before = _pull(paths, params)
        except MiniError as exc:
            raise ImageMissing(f"{missing.message}, and {exc.message}", hint=missing.hint) from exc
        outcome = converge(paths, asked)
    return outcome._replace(plan=Plan.of([*before, *outcome.plan]))


def _pull(paths: Paths, params: dict[str, Any], *, check: bool = False) -> Plan:
    """Without a login of the task's own: what a registry asks for beyond the usual files is for mini_image."""
    from ..engine.images.converge import ensure
    from .image import ANONYMOUS, connection, image_spec

    wanted = image_spec({"name": params["image"], "pull": params["pull"], "platform": params["platform"]})
    return ensure(paths, wanted, connect=connection(ANONYMOUS, wanted.reference), check=check).plan
