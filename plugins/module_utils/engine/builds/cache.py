# SPDX-License-Identifier: GPL-3.0-or-later
"""What earlier builds have made: a record for each image that is built here, with the layer of each of its steps.

A step's key is the digest of all that decides what it makes: the layers below, the instruction, the variables that it
sees, and the content of what it copies. So the same file and context find everything made; a changed step finds
nothing from there on.

An image's record goes with its name. One of a build that failed, or was killed, keeps what was made for a day, or until
the next one of that name succeeds. What a record names is not swept.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from ...core.errors import Conflict, CorruptRecord
from ...core.paths import Paths
from ...image.downloads import AGE
from ...image.layout import REF_NAME
from ...image.manifest import Descriptor, chain_ids
from ...image.store import ImageStore
from ...linux.files import is_locked
from ..records import load, names_in, save

_VERSION = 1  # of what a step makes; another one makes all keys others


@dataclass(frozen=True)
class Made:
    """What a step has made: its layer as a blob, filed under `chain`; without `diff_id` nothing had to be made."""

    diff_id: str = ""
    digest: str = ""
    size: int = 0
    media_type: str = ""
    created: str = ""
    chain: str = ""

    @property
    def descriptor(self) -> Descriptor:
        """The blob."""
        return Descriptor(self.media_type, self.digest, self.size)


@dataclass(frozen=True)
class BuildRecord:
    """A build. `bases` are the ids of images that it stands on, while it is not `done`."""

    reference: str
    steps: dict[str, Made] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    done: bool = False


def key(below: str, *parts: Any) -> str:
    """The key of a step on the layers whose chain id is `below`."""
    text = json.dumps([_VERSION, below, parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def top(diff_ids: Collection[str]) -> str:
    """The chain id of layers together, empty for none."""
    return chain_ids(tuple(diff_ids))[-1] if diff_ids else ""


def path(paths: Paths, reference: str) -> str:
    """Where a build's record is."""
    return os.path.join(paths.builds, hashlib.sha256(reference.encode()).hexdigest()[:32] + ".json")


def every(paths: Paths) -> Iterator[BuildRecord]:
    """All records. One that cannot be read has nothing made: a cache is all it is."""
    for name in names_in(paths.builds):
        with suppress(CorruptRecord):
            found = load(BuildRecord, os.path.join(paths.builds, name))
            if found is not None:
                yield found


def find(paths: Paths) -> dict[str, Made]:
    """All that was made and is still there, by key."""
    store = ImageStore(paths)
    steps = {known: made for record in every(paths) for known, made in record.steps.items()}
    return {known: made for known, made in steps.items() if not made.diff_id or _is_there(store, made)}


def _is_there(store: ImageStore, made: Made) -> bool:
    return os.path.exists(store.layout.blob(made.digest)) and os.path.isdir(store.paths.layer(made.chain))


def needed(paths: Paths, without: Collection[str] = (), age: float = AGE) -> dict[str, set[str]]:
    """The ids of layers, blobs and images that builds have to find again, but for those of the names in `without`.

    A build that failed, or was killed, goes on from where it stopped, unless it is older than `age`, in seconds.
    """
    found: dict[str, set[str]] = {}
    names = None
    for record in every(paths):
        if names is None:
            names = {entry.annotations.get(REF_NAME) for entry in ImageStore(paths).layout.entries()}
        stays = record.reference in names if record.done else _may_go_on(paths, record.reference, age)
        if stays and record.reference not in without:
            ids = {text for made in record.steps.values() for text in (made.digest, made.chain) if text}
            found[record.reference] = ids.union(record.bases)
    return found


def _may_go_on(paths: Paths, reference: str, age: float) -> bool:
    with suppress(FileNotFoundError):
        if time.time() - os.stat(path(paths, reference)).st_mtime < age:
            return True
    return is_locked(lock(paths, reference))


def lock(paths: Paths, reference: str) -> str:
    """What is locked while an image is built."""
    return paths.lock("build", os.path.basename(path(paths, reference)))


class Progress:
    """The record of a build that goes on. Whoever writes it holds the store's lock."""

    def __init__(self, paths: Paths, reference: str) -> None:
        self._path = path(paths, reference)
        before: Optional[BuildRecord] = None
        with suppress(CorruptRecord):
            before = load(BuildRecord, self._path)
        self._record = replace(before or BuildRecord(reference), done=False)
        self._taken: dict[str, Made] = {}

    def begin(self, bases: Collection[str], found: Mapping[str, Made]) -> None:
        """From now on the images that are stood on stay, and the steps that were found made."""
        self._taken.update(found)
        self._save(bases=tuple(sorted(bases)), steps={**self._record.steps, **found})

    def keep(self, known: str, made: Made) -> None:
        """A step is done, or was found done."""
        self._taken[known] = made
        if self._record.steps.get(known) != made:
            self._save(steps={**self._record.steps, known: made})

    def finish(self) -> None:
        """The image is named: what it did not need this time nobody finds again."""
        self._save(steps=dict(self._taken), bases=(), done=True)

    def _save(self, **fields: Any) -> None:
        self._record = replace(self._record, **fields)
        save(self._record, self._path)


def sweep(paths: Paths, age: float = AGE) -> None:
    """Remove the records that nobody needs. The caller holds the store's lock."""
    wanted = needed(paths, age=age)
    for record in list(every(paths)):
        if record.reference not in wanted:
            with suppress(FileNotFoundError):
                os.unlink(path(paths, record.reference))


def idle(paths: Paths) -> tuple[str, ...]:
    """The images whose steps are kept, and that are not being built."""
    return tuple(record.reference for record in every(paths) if not is_locked(lock(paths, record.reference)))


def forget(paths: Paths, reference: str) -> None:
    """Let an image's steps go. The caller holds the store's lock."""
    if is_locked(lock(paths, reference)):
        raise Conflict(f"the image {reference} is being built", hint="wait for that")
    with suppress(FileNotFoundError):
        os.unlink(path(paths, reference))
