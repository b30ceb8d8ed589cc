# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry as a supplier of images: the OCI distribution API, which is Docker's, too."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Callable, TypeVar

from ...core.errors import BadImage, NotFound, RegistryFailed
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


T = TypeVar("T")


def _nobody(_complaint: str) -> None:
    """Who does not want to know."""


class Registry:
    """One image of a registry, and of those that mirror it. `patience`: the seconds for which they may be silent.

    The mirrors are asked first, in order, and each until it fails; what is wrong with it is told to `complain`. Whoever
    it comes from, nothing is used that has not the digest that it should have.
    """

    streams = 4
    resumes = True

    def __init__(
        self,
        session: Session,
        patience: float = 60.0,
        mirrors: Sequence[Session] = (),
        complain: Callable[[str], None] = _nobody,
    ) -> None:
        self._session = session
        self._patience = patience
        self._mirrors = list(mirrors)
        self._complain = complain
        self.where = session.where

    def digest(self) -> str:
        """What the name stands for now. Nothing is fetched for that, where the registry can tell."""
        return self.where.version if _DIGEST.match(self.where.version) else self._first(self._digest)

    def _digest(self, session: Session) -> str:
        version = self.where.version
        reply = session.ask("HEAD", f"manifests/{version}", _ACCEPT, accept=(200, 405))
        reply.close()
        found = reply.headers.get("docker-content-digest", "")
        return found if reply.status == 200 and _DIGEST.match(found) else self._root(session, version).descriptor.digest

    def root(self, version: str) -> Root:
        """The index or manifest that a tag or a digest stands for."""
        return self._first(lambda session: self._root(session, version))

    def _root(self, session: Session, version: str) -> Root:
        said, raw = session.document(f"manifests/{version}", _ACCEPT, MAX_DOCUMENT, self._patience)
        digest, stated = sha256(raw), said.get("docker-content-digest", "")
        if digest != (version if _DIGEST.match(version) else stated or digest):
            raise BadImage(f"{session.where.server} sent {digest} for the manifest {stated or version}")
        return Root(Descriptor(_media_type(said), digest, len(raw)), raw)

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or a configuration."""
        if descriptor.size > MAX_DOCUMENT:
            raise BadImage(f"the document {descriptor.digest} would have {descriptor.size} bytes, more than is taken")
        manifest = media.as_oci(descriptor.media_type) in (media.INDEX, media.MANIFEST)
        kind, headers = ("manifests", _ACCEPT) if manifest else ("blobs", {})
        path = f"{kind}/{descriptor.digest}"

        def ask(session: Session) -> bytes:
            _said, raw = session.document(path, headers, descriptor.size, self._patience)
            if sha256(raw) != descriptor.digest:
                raise BadImage(f"{session.where.server} sent {sha256(raw)} for {descriptor.digest}")
            return raw

        return self._first(ask)

    def has(self, digest: str) -> bool:
        """Whether the tag stands for just that, in the registry itself."""
        try:
            return self._digest(self._session) == digest
        except NotFound:
            return False

    def push(self, store: ImageStore, image: StoredImage) -> None:
        """Give the image to the registry, under the tag."""
        Push(self._session, store, image).all(self.streams)

    def fetch(self, descriptor: Descriptor, path: str, stop: threading.Event) -> None:
        """A layer. Where one breaks off, the next goes on."""
        self._first(lambda session: Download(session, descriptor, stop, self._patience).into(path))

    def _first(self, ask: Callable[[Session], T]) -> T:
        """What the first answers that has it. Threads may find a mirror failing at the same time."""
        for mirror in tuple(self._mirrors):
            try:
                return ask(mirror)
            except NotFound:
                continue
            except (BadImage, RegistryFailed) as exc:
                if mirror in self._mirrors:
                    self._complain(f"the mirror {mirror.where.server} is of no use: {exc.message}")
                    with suppress(ValueError):
                        self._mirrors.remove(mirror)
        return ask(self._session)


def _media_type(said: Mapping[str, str]) -> str:
    """The type by which a document came, when that is one of documents; some servers know no better than JSON."""
    stated = said.get("content-type", "").partition(";")[0].strip()
    return stated if stated.startswith("application/vnd.") else ""
