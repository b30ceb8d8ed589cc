# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks of an image, in canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from ...core.specs.image import ImageConfig
from ...image.platform import Platform
from ...image.reference import Reference

ALWAYS, MISSING, NEVER = "always", "missing", "never"
ARCHIVE, ROOTFS = "archive", "rootfs"
NONE, GZIP = "none", "gzip"

_MERGED = ("env", "labels")


@dataclass(frozen=True)
class ImageSpec:
    """An image: its name, where its content comes from, and the fields of its configuration that are given.

    `src` and `load_path` are paths on this host, `from_container` a container's name. With none of them the image is
    in the store, or is fetched from a registry as `pull` says: always, when it is missing, never. `source` is what the
    task calls it, where it does. `author` and `message` are those of an image that is made here.
    """

    reference: Reference
    src: str = ""
    from_container: str = ""
    load_path: str = ""
    source: str = ""
    pull: str = NEVER
    platform: Optional[Platform] = None
    archive_path: str = ""
    push: bool = False
    author: str = ""
    message: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        """Whether the image is made here, and so by whom and why is the task's to say."""
        return bool(self.src or self.from_container)


@dataclass(frozen=True)
class ExportSpec:
    """What is written where: the images `names`, or the root file system of one of them, or that of a container."""

    path: str
    names: tuple[str, ...] = ()
    container: str = ""
    kind: str = ARCHIVE
    compression: str = NONE
    force: bool = False


def overlay(base: Optional[ImageConfig], given: Mapping[str, Any]) -> ImageConfig:
    """The configuration that is asked for.

    Without a base, as with `src`, what is given is all there is: an option taken out of the task leaves the image.
    With one, the container's or the existing image's, variables and labels are added to it and the rest replaces it.
    """
    if base is None:
        return ImageConfig(**given)
    merged = {name: {**getattr(base, name), **given[name]} for name in _MERGED if name in given}
    return replace(base, **{**given, **merged})
