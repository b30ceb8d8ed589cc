# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a whole image to a workspace, wherever it comes from: a registry, an archive, a layout of somebody else.

Whoever has the blobs is a `Supplier`. Nothing of it is used before its digest is verified; what the store has already
is not asked for. Blobs come several at a time, and each layer is unpacked while those above it are still on their way.

::

    supplier ──▶ index ──▶ manifest ──▶ configuration
                               └──▶ blobs, in parallel ──▶ layers, bottom to top ──▶ Parcel
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from ..core.errors import BadImage, StepFailed
from ..linux.files import sync_tree
from . import index, media
from .downloads import Downloads
from .intake import restore
from .layout import check_layers, open_regular
from .manifest import Descriptor, ImageDocument, Manifest, chain_ids
from .parcel import Parcel, Root
from .platform import Platform
from .store import ImageStore
from .tarstream import CHUNK, Readable
from .workspace import Workspace

if TYPE_CHECKING:
    from concurrent.futures import Future

MAX_DEPTH = 3  # an index may list indexes; nobody needs more


class Supplier(Protocol):
    """Whoever has the blobs of an image. `streams`: how many of them may be asked for at once; `resumes`: whether a
    blob is gone on with whose file has a beginning of it, as one does from far away.
    """

    @property
    def streams(self) -> int: ...
    @property
    def resumes(self) -> bool: ...

    def document(self, descriptor: Descriptor) -> bytes:
        """A small blob, verified."""
        ...

    def fetch(self, descriptor: Descriptor, path: str, stop: threading.Event) -> None:
        """Make the file `path` of a blob, verified. Once `stop` is set, nobody waits for it any more."""
        ...


def collect(supplier: Supplier, root: Root, platform: Platform, store: ImageStore, work: Workspace) -> Parcel:
    """All of the image behind `root` that the store does not have."""
    found = _descend(supplier, root, platform)
    source = f"manifest {found.descriptor.digest}"
    manifest = Manifest.read(found.raw, source)
    config = supplier.document(manifest.config)
    document = ImageDocument.read(config, f"image {manifest.config.digest}")
    check_layers(document, manifest)
    if document.os != "linux":
        raise BadImage(f"{source} is for {document.os!r:.40}, and this host runs Linux")
    blobs, layers = _Collector(supplier, store, work).layers(manifest, document)
    sync_tree(work.path)
    return Parcel(found, manifest, config, document, blobs, layers)


def _descend(supplier: Supplier, root: Root, platform: Platform) -> Root:
    """From an index to the manifest of the platform."""
    for _level in range(MAX_DEPTH):
        source = f"manifest {root.descriptor.digest}"
        if index.kind(root.raw, source, root.descriptor.media_type) == media.MANIFEST:
            return root
        chosen = index.choose(index.offers(root.raw, source), platform, f"index {root.descriptor.digest}")
        root = Root(chosen, supplier.document(chosen))
    raise BadImage(f"the index lists indexes that list indexes, more than {MAX_DEPTH} deep")


class _Collector:
    """The blobs of one image, on their way."""

    def __init__(self, supplier: Supplier, store: ImageStore, work: Workspace) -> None:
        self._supplier = supplier
        self._store = store
        self._work = work
        self._downloads = Downloads(store.paths)
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def layers(self, manifest: Manifest, document: ImageDocument) -> tuple[dict[str, str], dict[str, str]]:
        """Blobs by digest and directories by chain id."""
        from concurrent.futures import ThreadPoolExecutor  # who imports a root file system does without

        chain = chain_ids(document.diff_ids)
        absent = [not os.path.isdir(self._store.paths.layer(chain_id)) for chain_id in chain]
        blobs: dict[str, str] = {}
        lacking: dict[str, Descriptor] = {}
        for layer, unpacked_not in zip(manifest.layers, absent):
            known = layer.digest in blobs or layer.digest in lacking
            path = None if known else self._of_store(layer, verify=unpacked_not)
            if path:
                blobs[layer.digest] = path
            elif not known:
                lacking[layer.digest] = layer
        self._check_space(lacking)
        directories: dict[str, str] = {}
        with ThreadPoolExecutor(max(1, self._supplier.streams)) as pool:
            try:
                coming = {digest: pool.submit(self._fetch, layer) for digest, layer in lacking.items()}
                for number, layer in enumerate(manifest.layers):
                    path = blobs[layer.digest] = _path(coming, blobs, layer.digest)
                    if absent[number] and chain[number] not in directories:
                        below = [directories.get(one) or self._store.paths.layer(one) for one in chain[:number]]
                        content = document.diff_ids[number]
                        directories[chain[number]] = restore(path, content, self._work, below=below)
            except BaseException as exc:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                if isinstance(exc, BadImage):
                    self._downloads.forget(lacking)
                if self._failure is None or self._failure is exc:
                    raise
                raise self._failure from None
        return blobs, directories

    def _of_store(self, layer: Descriptor, *, verify: bool) -> str | None:
        """A second name for a blob of the store: another task may sweep the first one meanwhile."""
        path = self._work.new("known")
        try:
            os.link(self._store.layout.blob(layer.digest), path, follow_symlinks=False)
            with open(open_regular(path), "rb", buffering=0) as handle:
                if os.fstat(handle.fileno()).st_size == layer.size and (
                    not verify or digest_of(handle) == layer.digest
                ):
                    return path
            os.unlink(path)  # damaged: it is replaced
        except (OSError, BadImage):  # not there, not a file, or a file system without second names
            pass
        return None

    def _check_space(self, lacking: Mapping[str, Descriptor]) -> None:
        space = os.statvfs(self._work.path)
        free = space.f_bavail * space.f_frsize
        need = sum(max(layer.size - self._downloads.size(layer.digest), 0) for layer in lacking.values())
        if need > free:
            raise StepFailed(
                f"the image's layers have {need >> 20} MiB, and the state root has room for {free >> 20}",
                path=self._store.paths.state_root,
                hint="make room, or give another state_root",
            )

    def _fetch(self, layer: Descriptor) -> str:
        """The first that fails ends all: nobody waits for gigabytes that will not be used."""
        try:
            return self._download(layer) if self._supplier.resumes else self._copy(layer)
        except BaseException as exc:
            if not self._stop.is_set():
                self._failure = exc
            self._stop.set()
            raise

    def _copy(self, layer: Descriptor) -> str:
        path = self._work.new("blob")
        self._supplier.fetch(layer, path, self._stop)
        return path

    def _download(self, layer: Descriptor) -> str:
        """Once on this host, whoever else needs it. Who has waited for it may find it in the store."""
        with self._downloads.claim(layer.digest, self._stop) as draft:
            known = self._of_store(layer, verify=True)
            if known:
                os.unlink(draft)
                return known
            self._supplier.fetch(layer, draft, self._stop)
            path = self._work.new("blob")
            os.link(draft, path)
            return path


def _path(coming: Mapping[str, Future[str]], blobs: Mapping[str, str], digest: str) -> str:
    return coming[digest].result() if digest in coming else blobs[digest]


def digest_of(source: Readable) -> str:
    """The digest of all that is left to read."""
    content = hashlib.sha256()
    while True:
        data = source.read(CHUNK)
        if not data:
            return "sha256:" + content.hexdigest()
        content.update(data)
