# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that is there for one build: what RUN has when the task names none, with a way out as Docker's default."""

from __future__ import annotations

import hashlib
import os

from ...core.paths import Paths
from ...core.specs import NetworkSpec
from ...image.reference import Reference
from ..networks import converge

_PREFIX = "build-"


class Network:
    """The network of one build, made when the first RUN wants it."""

    def __init__(self, paths: Paths, reference: Reference) -> None:
        self._paths = paths
        self._name = _PREFIX + hashlib.sha256(str(reference).encode()).hexdigest()[:12]

    def name(self) -> str:
        """Its name; it is there when this returns."""
        converge.ensure(self._paths, NetworkSpec(self._name), ())
        return self._name

    def is_left(self) -> bool:
        """Whether it is there."""
        return os.path.lexists(self._paths.network(self._name))

    def remove(self) -> None:
        """It is gone, with what a build that was killed has left in it."""
        if self.is_left():
            converge.remove(self._paths, self._name, force=True)
