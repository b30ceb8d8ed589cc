# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else's OCI image layout, a directory, as a supplier. Nothing in it is taken on trust."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable

from ..core.errors import BadImage, NotFound
from . import reference as references
from .layout import IMAGE_NAME, REF_NAME, Layout, open_regular
from .manifest import Descriptor
from .parcel import Root
from .reference import Reference
from .tarstream import CHUNK


class Shelf:
    """The images of one layout."""

    streams = 1
    resumes = False

    def __init__(self, path: str) -> None:
        self._layout = Layout(path)

    def entry(self, wanted: Reference) -> Descriptor:
        """The entry of the index that the name means here."""
        if not os.path.isdir(self._layout.blobs):
            raise BadImage(f"{self._layout.path} is not an OCI image layout", path=self._layout.path)
        return choose(self._layout.entries(), wanted, self._layout.path)

    def root(self, wanted: Reference) -> Root:
        """The index or manifest that the name means here."""
        found = self.entry(wanted)
        return Root(found, self.document(found))

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or a configuration."""
        return self._layout.document(descriptor)

    def fetch(self, descriptor: Descriptor, path: str, stop: threading.Event) -> None:
        """A layer: its copy is what is verified, so the original may change as it likes."""
        digest, left = hashlib.sha256(), descriptor.size
        try:
            source = open_regular(self._layout.blob(descriptor.digest))
        except FileNotFoundError as exc:
            raise BadImage(f"{self._layout.path} lacks the blob {descriptor.digest}") from exc
        with open(source, "rb", buffering=0) as original, open(path, "xb") as copy:
            while not stop.is_set():
                data = original.read(CHUNK)
                if not data or len(data) > left:
                    break
                left -= len(data)
                digest.update(data)
                copy.write(data)
        if left or "sha256:" + digest.hexdigest() != descriptor.digest:
            raise BadImage(f"{self._layout.path}: the blob {descriptor.digest} is damaged")


def choose(entries: Iterable[Descriptor], wanted: Reference, source: str) -> Descriptor:
    """Which entry of an index a name means: the one that is called so, has its tag or digest, or is the only one."""
    found = list(entries)
    for test in (_is_called, _has_digest, _has_tag):
        matches = {entry.digest: entry for entry in found if test(entry, wanted)}
        if len(matches) == 1:
            return matches.popitem()[1]
    if len({entry.digest for entry in found}) == 1:
        return found[0]
    raise none_of(wanted, source, [name for entry in found for name in _names(entry)])


def none_of(wanted: Reference, source: str, names: Iterable[str]) -> NotFound:
    """The error that lists what there is instead."""
    listed = ", ".join(sorted(set(names))[:20])
    return NotFound(
        f"{source} has several images, or none, and none of its own called {wanted}",
        hint=f"give one of these as name: {listed}" if listed else "its images have no names",
    )


def _names(entry: Descriptor) -> list[str]:
    return [entry.annotations[key] for key in (IMAGE_NAME, REF_NAME) if key in entry.annotations]


def _is_called(entry: Descriptor, wanted: Reference) -> bool:
    return any(references.means(name, wanted) for name in _names(entry))


def _has_digest(entry: Descriptor, wanted: Reference) -> bool:
    return entry.digest == wanted.digest


def _has_tag(entry: Descriptor, wanted: Reference) -> bool:
    return bool(wanted.tag) and entry.annotations.get(REF_NAME) == wanted.tag
