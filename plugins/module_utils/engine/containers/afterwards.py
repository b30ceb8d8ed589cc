# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that a monitor starts when a container with `auto_remove` has ended; see farewell.py."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ...core.paths import Paths
from ...core.specs.container import ContainerSpec
from .. import program
from ..boot.files import PROGRAM


def command(paths: Paths, container_id: str, spec: ContainerSpec) -> Sequence[str]:
    """The engine's removal, by a copy of this version; nothing for a container that is to stay."""
    if not spec.auto_remove:
        return ()
    directory = program.installed(paths, PROGRAM)
    interpreter = os.path.realpath(sys.executable)
    return [interpreter, "-I", directory, "farewell", paths.state_root, paths.run_root, container_id]
