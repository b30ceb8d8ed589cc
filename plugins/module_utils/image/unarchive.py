# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of images as a supplier: what `docker save`, `podman save` and `skopeo copy oci-archive:` write.

One pass puts its files into the workspace, each under a name of ours; what the archive calls them is only looked up.
A file is known by the digest that it has, not by the one that it claims.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import threading
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

from ..core.errors import BadImage
from . import compression, media
from . import reference as references
from .document import MAX_DOCUMENT, Document, parse
from .index import offers
from .intake import Buffered, Tee, drain, expanded
from .manifest import Descriptor, Manifest, sha256
from .membername import clean, show
from .parcel import Root
from .reference import Reference
from .shelf import choose, none_of
from .tarstream import FILE, HARDLINK, SYMLINK, Entry, Limits, TarStream
from .workspace import Workspace

_MAX_LINKS = 8
_REMEMBERED = 64 * 2**20  # bytes of names
_LAYERS = {"": media.LAYER, "gzip": media.LAYER_GZIP, "zstd": media.LAYER_ZSTD}


class _Member(NamedTuple):
    path: str
    digest: str
    size: int


class Archive:
    """What one archive has. `digest` is its own, `stat` what it was when it was read."""

    streams = 1
    resumes = False

    def __init__(self, path: str, stat: os.stat_result) -> None:
        self.path = path
        self.stat = stat
        self.digest = ""
        self._files: dict[str, _Member] = {}
        self._links: dict[str, str] = {}
        self._made: dict[str, bytes] = {}  # documents that docker save leaves out
        self._remembered = 0

    def root(self, wanted: Reference) -> Root:
        """The image that the name means here. An OCI layout comes first: it says more than `manifest.json` does."""
        if "index.json" in self._files and "oci-layout" in self._files:
            entries = [offer.descriptor for offer in offers(self._small("index.json"), f"{self.path}, index.json")]
            named = self._saved(wanted) if len(entries) > 1 and "manifest.json" in self._files else None
            found = named or choose(entries, wanted, self.path)
            return Root(found, self.document(found))
        if "manifest.json" in self._files:
            return self._root_of_saved(wanted)
        raise BadImage(
            f"{self.path} is not an archive of images", hint="give the tar of a root file system as src", path=self.path
        )

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest or a configuration."""
        if descriptor.digest in self._made:
            return self._made[descriptor.digest]
        member = self._by_digest(descriptor)
        return self._read(member, f"the document {descriptor.digest}")

    def fetch(self, descriptor: Descriptor, path: str, stop: threading.Event) -> None:
        """A layer, which is in the workspace already."""
        os.link(self._by_digest(descriptor).path, path)

    def add(self, entry: Entry, stream: TarStream, path: str) -> None:
        """Take one member in."""
        name = _key(entry.name)
        self._remembered += len(name) + len(entry.link)
        if self._remembered > _REMEMBERED:
            raise BadImage(f"{self.path} has too many names")
        if name in self._files or name in self._links:
            raise BadImage(f"{self.path} has {show(entry.name)} twice", path=self.path)
        if entry.kind in (SYMLINK, HARDLINK):
            base = posixpath.dirname(name) if entry.kind == SYMLINK else ""
            self._links[name] = _key(posixpath.join(base.encode("utf-8", "surrogateescape"), entry.link))
        elif entry.kind == FILE:
            if sum(length for _offset, length in entry.pieces) != entry.size:
                raise BadImage(f"{self.path}: {show(entry.name)} is a sparse file, which is no part of an image")
            with open(path, "xb") as file:
                self._files[name] = _copy(stream, file, path)

    def _by_digest(self, descriptor: Descriptor) -> _Member:
        name = "blobs/sha256/" + descriptor.digest.rpartition(":")[2]
        member = self._files.get(name) or self._any(descriptor.digest)
        if member is None or (member.digest, member.size) != (descriptor.digest, descriptor.size):
            lacks = "lacks" if member is None else "has a damaged copy of"
            raise BadImage(f"{self.path} {lacks} the blob {descriptor.digest}", path=self.path)
        return member

    def _any(self, digest: str) -> _Member | None:
        return next((member for member in self._files.values() if member.digest == digest), None)

    def _find(self, name: str) -> _Member:
        """A member by name. Links lead from name to name inside the archive, and nowhere else."""
        wanted = _key(name.encode("utf-8", "surrogateescape"))
        for _hop in range(_MAX_LINKS):
            if wanted in self._files:
                return self._files[wanted]
            if wanted not in self._links:
                break
            wanted = self._links[wanted]
        raise BadImage(f"{self.path} has no file {name!r:.200}", path=self.path)

    def _small(self, name: str) -> bytes:
        return self._read(self._find(name), f"{self.path}, {name:.200}")

    def _read(self, member: _Member, what: str) -> bytes:
        if member.size > MAX_DOCUMENT:
            raise BadImage(f"{what} is larger than {MAX_DOCUMENT >> 20} MiB")
        with open(member.path, "rb") as file:
            return file.read()

    def _images(self) -> list[Document]:
        # A list is not a document; as the value of a key it is part of one.
        raw = b'{"images":' + self._small("manifest.json") + b"}"
        return parse(raw, f"{self.path}, manifest.json").children("images")

    def _entry(self, wanted: Reference) -> Document | None:
        named = [
            image for image in self._images() if any(references.means(tag, wanted) for tag in image.texts("RepoTags"))
        ]
        return named[0] if named else None

    def _saved(self, wanted: Reference) -> Descriptor | None:
        """The entry of an index whose image `manifest.json` gives the name: newer Dockers write the name only there."""
        entry = self._entry(wanted)
        config = self._find(entry.text("Config")).digest if entry else ""
        listed = offers(self._small("index.json"), f"{self.path}, index.json") if entry else []
        manifests = [one.descriptor for one in listed if media.as_oci(one.descriptor.media_type) == media.MANIFEST]
        return next((one for one in manifests if self._manifest(one).config.digest == config), None)

    def _manifest(self, descriptor: Descriptor) -> Manifest:
        return Manifest.read(self.document(descriptor), f"manifest {descriptor.digest}")

    def _root_of_saved(self, wanted: Reference) -> Root:
        """The manifest that `docker save` left out, made from what it wrote."""
        images = self._images()
        image = self._entry(wanted) or (images[0] if len(images) == 1 else None)
        if image is None:
            raise none_of(wanted, self.path, [tag for one in images for tag in one.texts("RepoTags")])
        config = self._find(image.text("Config"))
        layers = tuple(self._layer(name) for name in image.texts("Layers"))
        manifest = Manifest(Descriptor(media.CONFIG, config.digest, config.size), layers).encode()
        self._made[sha256(manifest)] = manifest
        return Root(Descriptor.of(media.MANIFEST, manifest), manifest)

    def _layer(self, name: str) -> Descriptor:
        member = self._find(name)
        with open(member.path, "rb") as file:
            kind = compression.detect(file.read(compression.MAGIC_SIZE))
        if kind not in _LAYERS:
            raise BadImage(f"{self.path}: the layer {name!r:.200} is compressed with {kind}, which no image may be")
        return Descriptor(_LAYERS[kind], member.digest, member.size)


def opened(path: str, work: Workspace) -> Archive:
    """The archive at `path`, its files in the workspace."""
    space = os.statvfs(work.path)
    room = space.f_bavail * space.f_frsize
    limits = Limits(size=room, entries=100_000, reason="that the state root has room for")
    with ExitStack() as stack:
        handle = stack.enter_context(open(path, "rb", buffering=0))
        found = Archive(path, os.fstat(handle.fileno()))
        whole = Tee(handle, None)
        stream = TarStream(Buffered(expanded(whole, path, stack)), limits)
        for entry in stream:
            found.add(entry, stream, work.new("member"))
        drain(whole, None)
        found.digest = whole.digest
        after = os.fstat(handle.fileno())
    if (after.st_size, after.st_mtime_ns) != (found.stat.st_size, found.stat.st_mtime_ns):
        raise BadImage(f"{path} was changed while it was read", hint="run the task again", path=path)
    return found


def _copy(stream: TarStream, file: BinaryIO, path: str) -> _Member:
    digest, size = hashlib.sha256(), 0
    for piece in stream.content():
        digest.update(piece)
        size += len(piece)
        file.write(piece)
    return _Member(path, "sha256:" + digest.hexdigest(), size)


def _key(name: bytes) -> str:
    """A name as it is looked up, whichever way it is written. One that leads outside is refused."""
    return clean(name).decode("utf-8", "surrogateescape")
