# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an image came from, as remembered beside its name in the index."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ..core.errors import BadImage
from .document import parse, serialise

FILE, DIRECTORY, CONTAINER, ABSENT = "file", "directory", "container", "absent"
REGISTRY, ARCHIVE, LAYOUT = "registry", "archive", "layout"


class Source(NamedTuple):
    """`digest` is the content's, as its source has it; `stamp` what tells without reading that it is the same.

    Of a file, `stamp` is what stat(2) said when it was read; of an image from elsewhere, for which platform it is.
    `names` are those of all images that were loaded from there together, with blanks between them.
    """

    kind: str
    path: str
    digest: str = ""
    stamp: str = ""
    names: str = ""

    def encode(self) -> str:
        return serialise({key: value for key, value in self._asdict().items() if value}).decode()


def decode(text: str) -> Optional[Source]:
    """What `encode` wrote; None for anything else, which makes the image's source unknown."""
    if not text:
        return None
    try:
        document = parse(text.encode(), "the image's source")
        return Source(**{name: document.text(name, "") for name in Source._fields})
    except BadImage:
        return None


def repository_digest(text: str) -> str:
    """The digest under which a registry has the image, empty when it came from none."""
    source = decode(text)
    return source.digest if source and source.kind == REGISTRY else ""
