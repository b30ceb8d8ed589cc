# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry as a supplier of images: the OCI distribution API, which is Docker's, too."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from ...core.errors import BadImage, NotFound
from .. import media
from ..document import MAX_DOCUMENT
from ..manifest import Descriptor, sha256
from ..parcel import Root
from ..store import ImageStore, StoredImage
from .download import Download
from .push import Push
from .session import Session

_ACCEPT = {"accept": ", ".join(media.ACCEPTED)}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Registry:
    """One image of a registry. `patience`: the seconds for which it may be silent."""

    streams = 4

    def __init__(self, session: Session, patience: float = 60.0) -> None:
        self._session = session
        self._patience = patience
        self.where = session.where

    def digest(self) -> str:
        """What the name stands for now. Nothing is fetched for that, where the registry can tell."""
        if _DIGEST.match(self.where.version):
            return self.where.version
        reply = self._session.ask("HEAD", f"manifests/{self.where.version}", _ACCEPT, accept=(200, 405))
        reply.close()
        found = reply.headers.get("docker-content-digest", "")
        return (
            found if reply.status == 200 and _DIGEST.match(found) else self.root(self.where.version).descriptor.digest
        )

    def root(self, version: str) -> Root:
        """The index or manifest that a tag or a digest stands for."""
        said, raw = self._session.document(f"manifests/{version}", _ACCEPT, MAX_DOCUMENT, self._patience)
        digest, stated = sha256(raw), said.get("docker-content-digest", "")
        if digest != (version if _DIGEST.match(version) else stated or digest):
            raise BadImage(f"{self.where.server} sent {digest} for the manifest {stated or version}")
        return Root(Descriptor(_media_type(said), digest, len(raw)), raw)

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or a configuration."""
        if descriptor.size > MAX_DOCUMENT:
            raise BadImage(f"the document {descriptor.digest} would have {descriptor.size} bytes, more than is taken")
        manifest = media.as_oci(descriptor.media_type) in (media.INDEX, media.MANIFEST)
        kind, headers = ("manifests", _ACCEPT) if manifest else ("blobs", {})
        path = f"{kind}/{descriptor.digest}"
        _said, raw = self._session.document(path, headers, descriptor.size, self._patience)
        if sha256(raw) != descriptor.digest:
            raise BadImage(f"{self.where.server} sent {sha256(raw)} for {descriptor.digest}")
        return raw

    def has(self, digest: str) -> bool:
        """Whether the tag stands for just that."""
        try:
            return self.digest() == digest
        except NotFound:
            return False

    def push(self, store: ImageStore, image: StoredImage) -> None:
        """Give the image to the registry, under the tag."""
        Push(self._session, store, image).all(self.streams)

    def fetch(self, descriptor: Descriptor, path: str, stop: threading.Event) -> None:
        """A layer."""
        Download(self._session, descriptor, stop, self._patience).into(path)


def _media_type(said: Mapping[str, str]) -> str:
    """The type by which a document came, when that is one of documents; some servers know no better than JSON."""
    stated = said.get("content-type", "").partition(";")[0].strip()
    return stated if stated.startswith("application/vnd.") else ""
