# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine of containers needs of volumes: one that is there, with the image's content, and gone at the end.

The content of the image at the mount's target is copied into a volume that is empty, as Docker does. It is copied
beside it and then moved in: whatever is interrupted, the next use of the volume goes on where this one stopped, and no
half of a file is ever seen.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...core.specs.volume import VolumeSpec
from ...image.replica import Look, attributes_of, copy_tree, dress, opened
from ...linux.files import locked, remove_tree, sync_tree
from ...runtime.state import now
from ..records import save
from .actions import make_data, remove
from .record import VolumeRecord, find
from .users import users

_DRAFT, _READY = "fill.tmp", "fill"


def make(paths: Paths, spec: VolumeSpec) -> None:
    """The volume on demand; one that is there is kept as it is, even if its record cannot be read."""
    with _locked(paths, spec.name):
        new = _readable(paths, spec.name) is None and not os.path.lexists(paths.volume_record(spec.name))
        make_data(paths, spec.name)
        if new:
            save(VolumeRecord(spec, now()), paths.volume_record(spec.name))
        _move_in(paths, spec.name)


def is_empty(paths: Paths, name: str) -> bool:
    """Whether the volume has no content yet."""
    with os.scandir(paths.volume_data(name)) as entries:
        return next(entries, None) is None


def fill(paths: Paths, name: str, source: int) -> None:
    """Copy the directory that the descriptor `source` has open into the volume, if that is empty."""
    with _locked(paths, name):
        if not is_empty(paths, name):
            return
        draft = paths.volume(name, _DRAFT)
        os.mkdir(draft, 0o700)
        with opened(os.open(draft, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as target:
            copy_tree(source, target)
        sync_tree(draft)
        os.rename(draft, paths.volume(name, _READY))
        _move_in(paths, name)


def _move_in(paths: Paths, name: str) -> None:
    """The last part of `fill`, and what is done about one that was interrupted.

    The directory of the content stays the same one: a container may have it mounted already.
    """
    remove_tree(paths.volume(name, _DRAFT))
    ready, data = paths.volume(name, _READY), paths.volume_data(name)
    if not os.path.isdir(ready):
        return
    with opened(os.open(ready, os.O_RDONLY | os.O_DIRECTORY)) as fd:
        look, extended = Look.of(os.fstat(fd)), attributes_of(fd)
    for entry in os.listdir(ready):
        if not os.path.lexists(os.path.join(data, entry)):
            os.rename(os.path.join(ready, entry), os.path.join(data, entry))
    with opened(os.open(data, os.O_RDONLY | os.O_DIRECTORY)) as fd:
        dress(fd, look, extended)
    remove_tree(ready)


def drop_anonymous(paths: Paths, names: Iterable[str], but: str) -> None:
    """Remove those of the volumes that nobody named and no other container than `but` has."""
    for name in names:
        with _locked(paths, name):
            record = _readable(paths, name)
            if record is not None and record.anonymous and not users(paths, name, but):
                remove(paths, name)


def _readable(paths: Paths, name: str) -> Optional[VolumeRecord]:
    with contextlib.suppress(CorruptRecord):
        return find(paths, name)
    return None


def _locked(paths: Paths, name: str) -> contextlib.AbstractContextManager[int]:
    return locked(paths.lock("volume", name), f"the volume {name}")
