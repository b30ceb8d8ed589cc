# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/…`.

Blobs are only ever added whole and under their own digest; `index.json` is the one file that is replaced, and it
alone says which images exist. Files that are not regular files are refused: a layout may come from elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from ..core.errors import BadImage
from ..linux.files import make_private_dir, write_atomic
from .document import MAX_DOCUMENT, parse, serialise
from .manifest import Descriptor, ImageDocument, Manifest, sha256
from .media import INDEX

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"  # whole, where the other has the tag alone
VERSION = serialise({"imageLayoutVersion": "1.0.0"})


class Layout:
    """One layout. Reading takes no lock; whoever writes holds the store's."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.blobs = os.path.join(path, "blobs", "sha256")
        self._index = os.path.join(path, "index.json")

    def blob(self, digest: str) -> str:
        """Where the blob is or would be."""
        return os.path.join(self.blobs, digest.rpartition(":")[2])

    def entries(self) -> list[Descriptor]:
        """The index: each image once for each of its names."""
        try:
            raw = read_regular(self._index)
        except FileNotFoundError:
            return []
        return [Descriptor.read(item) for item in parse(raw, self._index).children("manifests")]

    def write_entries(self, entries: Iterable[Descriptor]) -> None:
        """Replace the index: the moment at which a change becomes true."""
        plain = [entry.plain() for entry in entries]
        for path in self.torn():
            os.unlink(path)
        write_atomic(self._index, serialise({"schemaVersion": 2, "mediaType": INDEX, "manifests": plain}))

    def torn(self) -> list[str]:
        """What a kill left beside the index. Whoever asks holds the store's lock."""
        with suppress(FileNotFoundError):
            return [os.path.join(self.path, name) for name in os.listdir(self.path) if name.endswith(".tmp")]
        return []

    def create(self) -> None:
        """The directories and the version file, where they are missing."""
        make_private_dir(self.blobs)
        version = os.path.join(self.path, "oci-layout")
        if not os.path.exists(version):
            write_atomic(version, VERSION)

    def manifest(self, entry: Descriptor) -> Manifest:
        return Manifest.read(self.document(entry), f"manifest {entry.digest}")

    def image_id(self, entry: Descriptor) -> str:
        """The id of the image behind an entry, empty when it cannot be read."""
        try:
            return self.manifest(entry).config.digest
        except BadImage:
            return ""

    def image(self, manifest: Manifest) -> ImageDocument:
        """The configuration, which must agree with the manifest on how many layers there are."""
        document = ImageDocument.read(self.document(manifest.config), f"image {manifest.config.digest}")
        check_layers(document, manifest)
        return document

    def document(self, descriptor: Descriptor) -> bytes:
        """A small blob, verified."""
        path = self.blob(descriptor.digest)
        try:
            raw = read_regular(path)
        except OSError as exc:
            raise BadImage(f"the blob {descriptor.digest} cannot be read: {exc.strerror}", path=path) from exc
        if len(raw) != descriptor.size or sha256(raw) != descriptor.digest:
            raise BadImage(f"the blob {descriptor.digest} is damaged", hint="import the image again", path=path)
        return raw

    def put(self, content: bytes) -> None:
        """Add a small blob, or mend it."""
        path = self.blob(sha256(content))
        try:
            if read_regular(path) == content:
                return
        except (FileNotFoundError, BadImage):
            pass
        write_atomic(path, content)


def check_layers(document: ImageDocument, manifest: Manifest) -> None:
    """An image and its manifest must agree on how many layers there are."""
    if len(document.diff_ids) != len(manifest.layers):
        raise BadImage(
            f"image {manifest.config.digest} has {len(document.diff_ids)} layers, its manifest {len(manifest.layers)}"
        )


def open_regular(path: str) -> int:
    """A descriptor for reading a regular file; a link, a pipe or a device is `BadImage`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise BadImage(f"{path} cannot be opened: {exc.strerror}", path=path, errno=exc.errno) from exc
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise BadImage(f"{path} is not a regular file", path=path)
    return fd


def read_regular(path: str) -> bytes:
    """A small regular file, whole."""
    with open(open_regular(path), "rb") as handle:
        raw = handle.read(MAX_DOCUMENT + 1)
    if len(raw) > MAX_DOCUMENT:
        raise BadImage(f"{path} is larger than {MAX_DOCUMENT >> 20} MiB", path=path)
    return raw
