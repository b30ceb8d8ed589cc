# SPDX-License-Identifier: GPL-3.0-or-later
"""Images, and root file systems of images and of containers, as files for others.

An archive is known again by its beginning, in which the digests of all that it holds are. A root file system is only
known again by its content, which is read for that, and nothing is written when it is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Optional, Union

from ...core.errors import BadImage, BadInput, NotFound
from ...core.paths import Paths
from ...core.plan import Action, Observer, Plan, Step, apply, silent
from ...image import archive, outfile
from ...image.diff import pack
from ...image.store import ImageStore, StoredImage
from ...image.workspace import Workspace
from ...linux.files import locked
from ...linux.mount import fd_path
from ..containers.record import ContainerRecord, id_of, whole
from ..containers.root import root_of, root_of_layers
from .describe import describe
from .spec import ARCHIVE, ExportSpec


class Outcome(NamedTuple):
    """The plan, run or not, the images that are exported, and what check mode takes to be made before."""

    plan: Plan
    images: list[dict[str, Any]]
    warnings: tuple[str, ...] = ()


def export(paths: Paths, spec: ExportSpec, *, check: bool = False, observer: Observer = silent) -> Outcome:
    """The file is there and holds what it should."""
    store = ImageStore(paths)
    found = {name: store.find(name) for name in spec.names}
    images = {_label(name, image): image for name, image in found.items() if image is not None}
    record = whole(paths, id_of(paths, spec.container)) if spec.container else None
    lacks = [f"there is no image {name}" for name, image in found.items() if image is None]
    lacks += [f"there is no container {spec.container}"] if spec.container and record is None else []
    if lacks and not check:
        raise NotFound(f"{lacks[0]} that could be exported", hint="fetch or make it first")
    shown = [describe(store, image) for image in images.values()]
    if os.path.isdir(spec.path):
        raise BadInput(f"path: {spec.path} is a directory", hint="give the path of a file")
    with _alone(paths, spec, record, check=check), _content(paths, spec, images, record, lacks) as content:
        step = Step("export", spec.path, ", ".join(spec.names) or f"the container {spec.container}")
        plan = Plan.of([step] if lacks or spec.force or not content.is_current(spec) else [])
        if plan and not check:
            apply(plan, {"export": Action(lambda _step: content.write(spec))}, observer)
    return Outcome(plan, shown, tuple(lacks))


def _label(name: str, image: StoredImage) -> str:
    """What the image is called in the archive: an id is no name, and what has `@` in it gives none there."""
    return name if name in image.references else f"@{image.manifest_digest}"


class Archive(NamedTuple):
    """Images as an archive."""

    store: ImageStore
    cargo: archive.Cargo

    def is_current(self, spec: ExportSpec) -> bool:
        return outfile.begins(spec.path, self.cargo.beginning, self.cargo.size, spec.compression)

    def write(self, spec: ExportSpec) -> None:
        """The store's lock is held for a moment only: the blobs get second names, which no sweep takes away."""
        with Workspace(self.store.paths) as work:
            with self.store.locked():
                linked = {blob.digest: self._link(blob.digest, work) for blob in self.cargo.blobs}
            outfile.write(spec.path, self.cargo.pieces(linked.__getitem__), spec.compression)

    def _link(self, digest: str, work: Workspace) -> str:
        path = work.new("blob")
        try:
            os.link(self.store.layout.blob(digest), path, follow_symlinks=False)
        except FileNotFoundError as exc:
            raise BadImage(f"the blob {digest} has left the store meanwhile", hint="run the task again") from exc
        return path


class _Tree(NamedTuple):
    """What is below a directory, as the tar of a root file system."""

    root: str

    def is_current(self, spec: ExportSpec) -> bool:
        return outfile.holds(spec.path, pack(self.root), spec.compression)

    def write(self, spec: ExportSpec) -> None:
        outfile.write(spec.path, pack(self.root), spec.compression)


@contextlib.contextmanager
def _content(
    paths: Paths,
    spec: ExportSpec,
    images: Mapping[str, StoredImage],
    record: Optional[ContainerRecord],
    lacks: Collection[str],
) -> Iterator[Union[Archive, _Tree]]:
    store = ImageStore(paths)
    if spec.kind == ARCHIVE or lacks:
        yield Archive(store, archive.cargo(store.layout, images))
    elif record is not None:
        with root_of(paths, record, volumes=False, read_only=True) as root:
            yield _Tree(fd_path(root.fd))
    else:
        (image,) = images.values()
        if not image.layers:
            raise BadInput(f"the image {spec.names[0]} has no layers, and so no root file system")
        with root_of_layers(paths.state_root, store.layer_dirs(image)) as tree:
            yield _Tree(fd_path(tree))


@contextlib.contextmanager
def _alone(paths: Paths, spec: ExportSpec, record: Optional[ContainerRecord], *, check: bool) -> Iterator[None]:
    """One writer of the file at a time, and nobody who starts or stops the container. Check mode takes no lock."""
    with contextlib.ExitStack() as stack:
        if not check:
            name = hashlib.sha256(os.fsencode(spec.path)).hexdigest()
            stack.enter_context(locked(paths.lock("export", name), f"the file {spec.path}"))
            if record is not None:
                stack.enter_context(locked(paths.lock("container", record.name), f"container {record.name}"))
        yield
