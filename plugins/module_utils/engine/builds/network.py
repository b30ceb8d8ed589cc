# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that is there for one build: what RUN has when the task names none, with a way out as Docker's default."""

from __future__ import annotations

import os

from ...core.paths import Paths
from ...core.specs.network import NetworkSpec
from ..networks import converge
from . import names


class Network:
    """The network of one build, made when the first RUN wants it."""

    def __init__(self, paths: Paths, reference: str) -> None:
        self._paths = paths
        self._name = names.network(reference)

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
