# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the images in an archive or a layout. It is only read, and nothing is written for that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack

from ..core.errors import BadImage, BadInput
from . import reference as references
from .document import MAX_DOCUMENT, parse
from .intake import Buffered, expanded
from .layout import IMAGE_NAME, REF_NAME, Layout
from .membername import clean
from .reference import Reference
from .tarstream import FILE, Limits, TarStream

_SAVED, _INDEX = b"manifest.json", b"index.json"


def names(path: str) -> list[Reference]:
    """What the images at `path` are called, in order. `BadImage` when they have no names."""
    if os.path.isdir(path):
        found = [name for entry in Layout(path).entries() for name in _name(entry.annotations)]
    else:
        found = _of_archive(_documents(path), path)
    if not found:
        raise BadImage(
            f"{path} has no image with a name", hint="load it with mini_image, which gives it one", path=path
        )
    return sorted({_parsed(name, path) for name in found})


def _of_archive(documents: dict[bytes, bytes], path: str) -> list[str]:
    """`manifest.json` has whole names, where an index may have tags alone."""
    found: list[str] = []
    if _SAVED in documents:
        saved = parse(b'{"images":' + documents[_SAVED] + b"}", f"{path}, manifest.json").children("images")
        found = [tag for image in saved for tag in image.texts("RepoTags")]
    if not found and _INDEX in documents:
        index = parse(documents[_INDEX], f"{path}, index.json").children("manifests")
        found = [name for entry in index for name in _name(entry.table("annotations"))]
    return found


def _name(notes: Mapping[str, str]) -> list[str]:
    """What an entry is called. A tag alone is no name."""
    short = notes.get(REF_NAME, "")
    name = notes.get(IMAGE_NAME) or (short if ":" in short or "/" in short else "")
    return [name] if name else []


def _parsed(name: str, path: str) -> Reference:
    try:
        return references.parse(name)
    except BadInput as exc:
        raise BadImage(f"{path} has an image called {name!r:.80}, which is no name", path=path) from exc


def _documents(path: str) -> dict[bytes, bytes]:
    """The small files that tell what an archive has; it is read as far as they are."""
    found: dict[bytes, bytes] = {}
    with ExitStack() as stack:
        handle = stack.enter_context(open(path, "rb", buffering=0))
        limits = Limits(size=2**63 - 1, entries=100_000)
        stream = TarStream(Buffered(expanded(handle, path, stack)), limits)
        for entry in stream:
            name = clean(entry.name)
            if entry.kind == FILE and name in (_SAVED, _INDEX) and entry.size <= MAX_DOCUMENT:
                found[name] = b"".join(stream.content())
            if _SAVED in found and _INDEX in found:
                break
    if not found:
        raise BadImage(f"{path} is not an archive of images", path=path)
    return found
