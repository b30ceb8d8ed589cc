# SPDX-License-Identifier: GPL-3.0-or-later
"""One image as a tar that other tools read: an OCI image layout, and the `manifest.json` of `docker save` beside it.

Both point to the same blobs, so nothing is in it twice: `skopeo copy oci-archive:…`, `podman load` and `docker load`
take it. The same image gives the same bytes. The small files come first, so that one look at the beginning tells
which image an archive holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..core.errors import BadImage
from .document import serialise
from .layout import IMAGE_NAME, REF_NAME, VERSION, Layout, open_regular
from .manifest import NO_NOTES, Descriptor
from .media import INDEX
from .store import StoredImage
from .tarstream import CHUNK, DIRECTORY, FILE, Entry
from .tarwriter import END, header, padding

_BLOBS = "blobs/sha256/"


def pieces(layout: Layout, image: StoredImage, reference: str) -> Iterator[bytes]:
    """The archive, in pieces."""
    yield beginning(layout, image, reference)
    for descriptor in _blobs(layout, image):
        yield _header(_name(descriptor), descriptor.size)
        yield from _content(layout.blob(descriptor.digest), descriptor)
        yield padding(descriptor.size)
    yield END


def size(layout: Layout, image: StoredImage, reference: str) -> int:
    """How long the archive is."""
    blobs = [descriptor.size for descriptor in _blobs(layout, image)]
    content = sum(len(_header("", blob)) + blob + len(padding(blob)) for blob in blobs)
    return len(beginning(layout, image, reference)) + content + len(END)


def is_current(path: str, layout: Layout, image: StoredImage, reference: str) -> bool:
    """Whether the file at `path` is this archive, by its size and its beginning, which names every blob's digest."""
    wanted = beginning(layout, image, reference)
    try:
        with open(open_regular(path), "rb") as handle:
            found = os.fstat(handle.fileno()).st_size
            return found == size(layout, image, reference) and handle.read(len(wanted)) == wanted
    except (OSError, BadImage):
        return False


def write(path: str, layout: Layout, image: StoredImage, reference: str) -> None:
    """Write the archive beside its place and rename it, so that a torn one is never found there."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as handle:
            for piece in pieces(layout, image, reference):
                handle.write(piece)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise


def beginning(layout: Layout, image: StoredImage, reference: str) -> bytes:
    """Directories, `oci-layout`, `index.json` and `manifest.json`."""
    manifest = _manifest(layout, image)
    tags = [] if "@" in reference else [reference]
    notes = {REF_NAME: reference.rpartition(":")[2], IMAGE_NAME: reference} if tags else {}
    index = serialise(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest._replace(annotations=notes).plain()]}
    )
    layers = [_BLOBS + _hex(layer.digest) for layer in image.blobs]
    saved = serialise([{"Config": _BLOBS + _hex(image.id), "RepoTags": tags, "Layers": layers}])
    files = (("oci-layout", VERSION), ("index.json", index), ("manifest.json", saved))
    directories = b"".join(_header(name, 0, DIRECTORY) for name in ("blobs/", _BLOBS))
    return directories + b"".join(_header(name, len(data)) + data + padding(len(data)) for name, data in files)


def _manifest(layout: Layout, image: StoredImage) -> Descriptor:
    found = next((entry for entry in layout.entries() if entry.digest == image.manifest_digest), None)
    if found is None:
        raise BadImage(f"the image {image.id} has left the store meanwhile", hint="run the task again")
    return found._replace(annotations=NO_NOTES)


def _blobs(layout: Layout, image: StoredImage) -> list[Descriptor]:
    entry = _manifest(layout, image)
    found = {entry.digest: entry}
    for descriptor in (layout.manifest(entry).config, *image.blobs):
        found[descriptor.digest] = descriptor
    return [found[digest] for digest in sorted(found)]


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
