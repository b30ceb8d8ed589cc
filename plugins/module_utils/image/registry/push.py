# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of the store, into a registry: what it has already is not sent, and the tag moves last.

A layer that the registry has in another repository, because it was pulled from there, is mounted from it where the
registry lets us.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..media import MANIFEST
from ..origin import REGISTRY, decode
from ..store import ImageStore, StoredImage
from .address import Address
from .session import Session


class Push:
    """One image on its way out."""

    def __init__(self, session: Session, store: ImageStore, image: StoredImage) -> None:
        self._session = session
        self._layout = store.layout
        self._image = image
        self._stop = threading.Event()
        self._elsewhere = _elsewhere(store, session.where)

    def all(self, streams: int) -> None:
        """Layers and configuration, several at a time, and then the manifest."""
        digests = list(dict.fromkeys((*(blob.digest for blob in self._image.blobs), self._image.id)))
        with ThreadPoolExecutor(streams) as pool:
            try:
                for sent in [pool.submit(self._blob, digest) for digest in digests]:
                    sent.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        digest = self._image.manifest_digest
        headers = {"content-type": MANIFEST}
        path = f"manifests/{self._session.where.version}"
        self._session.ask("PUT", path, headers, (201,), upload=self._layout.blob(digest)).close()

    def _blob(self, digest: str) -> None:
        reply = self._session.ask("HEAD", f"blobs/{digest}", accept=(200, 404), stop=self._stop)
        reply.close()
        if reply.status == 200:
            return
        mount = {"mount": digest, "from": self._elsewhere[digest]} if digest in self._elsewhere else {}
        reply = self._session.ask(
            "POST", f"blobs/uploads/?{urlencode(mount)}".rstrip("?"), accept=(201, 202), stop=self._stop
        )
        reply.close()
        if reply.status == 201:
            return
        parts = urlsplit(self._session.elsewhere(reply))
        query = "&".join(filter(None, (parts.query, urlencode({"digest": digest}))))
        headers = {"content-type": "application/octet-stream"}
        target = urlunsplit(parts._replace(query=query))
        self._session.ask("PUT", target, headers, (201,), stop=self._stop, upload=self._layout.blob(digest)).close()


def _elsewhere(store: ImageStore, where: Address) -> dict[str, str]:
    """The blobs that were pulled from other repositories of the registry, each with one of those."""
    found: dict[str, str] = {}
    for image in store.images():
        for source in filter(None, map(decode, image.sources.values())):
            host, _slash, rest = source.path.partition("/")
            repository = _repository(rest)
            if (source.kind, host) == (REGISTRY, where.host) and repository != where.repository:
                found.update((blob.digest, repository) for blob in image.blobs)
    return found


def _repository(name: str) -> str:
    """Without tag or digest; the host's port is gone already."""
    return name.partition("@")[0].partition(":")[0]
