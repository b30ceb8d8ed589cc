# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a build that make layers, as values: everything is known of them but what they stand on.

Instructions that only change the configuration make none: they are done when the file is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Union

from ...core.specs.image import ImageConfig
from ...image.containerfile.lines import Heredoc
from ...image.platform import Platform
from ...image.store import StoredImage


@dataclass(frozen=True)
class Origin:
    """Whose files are taken: those of a stage, by number, those of an image, or with neither the context's."""

    stage: int = -1
    image: Optional[StoredImage] = None
    reference: str = ""

    @property
    def is_context(self) -> bool:
        """Whether it is the context."""
        return self.stage < 0 and not self.reference


CONTEXT = Origin()


@dataclass(frozen=True)
class RunMount:
    """A `--mount` of RUN. `kind` is bind, cache, tmpfs or secret; `options` are those that only some kinds have."""

    kind: str
    target: str
    source: str = ""
    origin: Origin = CONTEXT
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A command. `script` is a here-document that begins with `#!`, to be run as a program."""

    line: int
    text: str
    command: tuple[str, ...]
    config: ImageConfig
    env: dict[str, str]
    hidden: dict[str, str]
    mounts: tuple[RunMount, ...] = ()
    network: str = ""
    script: str = ""
    name = "run"


@dataclass(frozen=True)
class Copy:
    """Files, but for those below a source that patterns `exclude`. With `unpack`, archives give what is in them."""

    line: int
    text: str
    sources: tuple[str, ...]
    contents: tuple[Heredoc, ...]
    target: str
    origin: Origin = CONTEXT
    owner: str = ""
    mode: str = ""
    unpack: bool = False
    exclude: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The instruction."""
        return "add" if self.unpack else "copy"


@dataclass(frozen=True)
class Workdir:
    """A directory, made where it is missing."""

    line: int
    text: str
    path: str
    owner: str = ""
    name = "workdir"


Work = Union[Run, Copy, Workdir]


@dataclass(frozen=True)
class Entry:
    """A line of an image's history; with a work, it has a layer."""

    text: str
    work: Optional[Work] = None


@dataclass(frozen=True)
class StagePlan:
    """A stage, read to its end. `below` is the stage that it stands on, `image` the image; with neither it is empty.

    `unknown`: the image is not here, and nothing is known of it; only check mode goes on then.
    """

    index: int
    platform: Platform
    config: ImageConfig
    entries: tuple[Entry, ...]
    below: int = -1
    image: Optional[StoredImage] = None
    author: str = ""
    unknown: bool = False

    @property
    def works(self) -> list[Work]:
        """What makes layers, in order."""
        return [entry.work for entry in self.entries if entry.work]


def origins(work: Work) -> tuple[Origin, ...]:
    """Whose files a step takes."""
    if isinstance(work, Copy):
        return (work.origin,)
    return tuple(mount.origin for mount in work.mounts) if isinstance(work, Run) else ()
