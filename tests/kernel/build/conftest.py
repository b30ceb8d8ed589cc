# SPDX-License-Identifier: GPL-3.0-or-later
"""Contexts written by tests, and short words for what is done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import NotFound
from ansible_collections.mini.containers.plugins.module_utils.engine.builds import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.build import build_spec
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore, StoredImage


class Builder:
    """Builds on a throw-away host."""

    def __init__(self, host: Any, directory: Path) -> None:
        self.host = host
        self.paths = host.paths
        self.context = directory
        directory.mkdir()

    def write(self, **files: str | bytes) -> None:
        """Files of the context, `__` in their names standing for a slash and `_dot` for a dot."""
        for name, content in files.items():
            path = self.context / name.replace("__", "/").replace("_dot", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def build(self, text: str | None = None, name: str = "made", **options: Any) -> converge.Outcome:
        """What the task does; `check` and `observer` as there."""
        if text is not None:
            (self.context / "Containerfile").write_text(text)
        extra = {key: options.pop(key) for key in ("check", "observer") if key in options}
        wanted = build_spec({"name": name, "path": str(self.context), "network": "none", **options})
        self.host._look()
        try:
            return converge.build(self.paths, wanted, no_registry, **extra)
        finally:
            self.host._look()

    def actions(self, text: str | None = None, **options: Any) -> list[str]:
        """The steps of a task."""
        return [step.name for step in self.build(text, **options).plan]

    def image(self, name: str = "made") -> StoredImage:
        """The image."""
        return ImageStore(self.paths).resolve(name)

    def top(self, name: str = "made") -> Path:
        """The last layer, unpacked."""
        return Path(ImageStore(self.paths).layer_dirs(self.image(name))[-1])

    def tree(self, name: str = "made") -> list[str]:
        """What the last layer has in it: mode, owner and path."""
        top = self.top(name)
        found = []
        for path in sorted(top.rglob("*")):
            look = path.lstat()
            found.append(f"{look.st_mode:o} {look.st_uid}:{look.st_gid} {path.relative_to(top)}")
        return found


def no_registry(reference: Any) -> Any:
    """There is none."""
    raise NotFound(f"there is no registry for {reference}")


@pytest.fixture
def builder(host: Any, tmp_path: Path) -> Builder:
    """Builds with the base image `box`, which is busybox."""
    return Builder(host, tmp_path / "context")
