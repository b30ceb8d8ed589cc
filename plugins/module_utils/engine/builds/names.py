# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build calls the things it makes for a while, and whether a build that was killed has left them."""

from __future__ import annotations

import hashlib
import os

from ...core.paths import Paths


def container(reference: str) -> str:
    """The name of the containers of RUN. It has a character that is in no name that a task can give."""
    return f"build~{_digest(reference)}"


def network(reference: str) -> str:
    """The name of the network that RUN has when the task names none."""
    return f"build-{_digest(reference)}"


def _digest(reference: str) -> str:
    return hashlib.sha256(reference.encode()).hexdigest()[:12]


def left(paths: Paths, reference: str) -> bool:
    """Whether something is there of a build that does not go on."""
    places = (paths.name(container(reference)), paths.network(network(reference)))
    return any(os.path.lexists(place) for place in places)
