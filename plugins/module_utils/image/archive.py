# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as a tar that other tools read: an OCI image layout, and the `manifest.json` of `docker save` beside it.

Both point to the same blobs, so nothing is in it twice: `skopeo copy oci-archive:…`, `podman load` and `docker load`
take it. The same images give the same bytes. The small files come first, so that one look at the beginning tells
which images an archive holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Callable, NamedTuple

from ..core.errors import BadImage
from .document import serialise
from .layout import IMAGE_NAME, REF_NAME, VERSION, Layout, open_regular
from .manifest import NO_NOTES, Descriptor
from .media import INDEX
from .store import StoredImage
from .tarstream import CHUNK, DIRECTORY, FILE, Entry
from .tarwriter import END, header, padding

_BLOBS = "blobs/sha256/"


class Cargo(NamedTuple):
    """What an archive holds: its first bytes, which name every blob's digest, and the blobs, in order."""

    beginning: bytes
    blobs: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """How long the archive is."""
        blobs = [descriptor.size for descriptor in self.blobs]
        content = sum(len(_header("", blob)) + blob + len(padding(blob)) for blob in blobs)
        return len(self.beginning) + content + len(END)

    def pieces(self, path_of: Callable[[str], str]) -> Iterator[bytes]:
        """The archive, in pieces. `path_of` says where the blob of a digest lies."""
        yield self.beginning
        for descriptor in self.blobs:
            yield _header(_name(descriptor), descriptor.size)
            yield from _content(path_of(descriptor.digest), descriptor)
            yield padding(descriptor.size)
        yield END


def cargo(layout: Layout, images: Mapping[str, StoredImage]) -> Cargo:
    """The archive of some images, each under the names that are given; in whatever order they are."""
    found = {image.manifest_digest: image for image in images.values()}
    names = {
        digest: [name for name in sorted(images) if images[name].manifest_digest == digest] for digest in sorted(found)
    }
    manifests = {digest: _manifest(layout, image) for digest, image in found.items()}
    blobs: dict[str, Descriptor] = {}
    for digest, image in found.items():
        manifest = manifests[digest]
        for descriptor in (manifest, layout.manifest(manifest).config, *image.blobs):
            blobs[descriptor.digest] = descriptor
    index = [_named(manifests[digest], name, alone=len(images) == 1) for digest in names for name in names[digest]]
    saved = [_saved(found[digest], names[digest]) for digest in names]
    files = (
        ("oci-layout", VERSION),
        ("index.json", serialise({"schemaVersion": 2, "mediaType": INDEX, "manifests": index})),
        ("manifest.json", serialise(saved)),
    )
    directories = b"".join(_header(name, 0, DIRECTORY) for name in ("blobs/", _BLOBS))
    beginning = b"".join(_header(name, len(data)) + data + padding(len(data)) for name, data in files)
    return Cargo(directories + beginning, tuple(blobs[digest] for digest in sorted(blobs)))


def _named(manifest: Descriptor, reference: str, *, alone: bool) -> dict[str, object]:
    """The specification would have the tag alone, which tells one of several images of no other."""
    short = reference.rpartition(":")[2] if alone else reference
    notes = {} if "@" in reference else {REF_NAME: short, IMAGE_NAME: reference}
    return manifest._replace(annotations=notes).plain()


def _saved(image: StoredImage, names: Collection[str]) -> dict[str, object]:
    return {
        "Config": _BLOBS + _hex(image.id),
        "RepoTags": [name for name in names if "@" not in name],
        "Layers": [_BLOBS + _hex(layer.digest) for layer in image.blobs],
    }


def _manifest(layout: Layout, image: StoredImage) -> Descriptor:
    found = next((entry for entry in layout.entries() if entry.digest == image.manifest_digest), None)
    if found is None:
        raise BadImage(f"the image {image.id} has left the store meanwhile", hint="run the task again")
    return found._replace(annotations=NO_NOTES)


def _content(path: str, descriptor: Descriptor) -> Iterator[bytes]:
    left = descriptor.size
    with open(open_regular(path), "rb", buffering=0) as handle:
        while left:
            data = handle.read(min(left, CHUNK))
            if not data:
                raise BadImage(f"the blob {descriptor.digest} is damaged", hint="import the image again", path=path)
            left -= len(data)
            yield data


def _header(name: str, length: int, kind: bytes = FILE) -> bytes:
    mode = 0o755 if kind == DIRECTORY else 0o644
    return header(Entry(name=name.encode(), kind=kind, mode=mode, uid=0, gid=0, mtime_ns=0, size=length))


def _name(descriptor: Descriptor) -> str:
    return _BLOBS + _hex(descriptor.digest)


def _hex(digest: str) -> str:
    return digest.rpartition(":")[2]
