# SPDX-License-Identifier: GPL-3.0-or-later
"""A place to unpack layers in, beside a tree that stands for the host's."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace


class Lab:
    """A state root and a canary."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.canary = directory / "canary"
        self.canary.mkdir()
        (self.canary / "secret").write_text("the host's")
        self.before = self.look()

    def look(self) -> Any:
        """All of the canary that a layer could change."""
        found = [self.canary, *self.canary.rglob("*")]
        return [(str(path), path.lstat()[:3], path.lstat().st_nlink, path.lstat().st_ctime_ns) for path in found]

    def unpack(self, data: bytes, **options: Any) -> Path:
        """Into a workspace that stays until the test ends; `work` is where."""
        self.work = Workspace(self.paths)
        self.work.__enter__()
        try:
            return Path(take_in(io.BytesIO(data), self.work, **options).directory)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """The workspace goes, with nothing of it left, and the canary is as it was."""
        self.work.__exit__(None, None, None)
        assert os.listdir(self.paths.layers) == ["tmp"]
        assert os.listdir(os.path.join(self.paths.layers, "tmp")) == []
        assert self.look() == self.before
