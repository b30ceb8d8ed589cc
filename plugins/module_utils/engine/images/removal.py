# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking names away: what a name, a digest or an id means, what goes with it, and what has to be refused.

An image goes with its last name, as in Docker: `untagged` are the names that are taken away, `deleted` the image and
those of its layers that nobody else has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Optional

from ...core.errors import BadImage, Conflict
from ...core.names import short_id
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...image import reference as references
from ...image import rubbish, workspace
from ...image.downloads import AGE
from ...image.rubbish import NOTHING, Rubbish
from ...image.store import ImageStore, StoredImage
from .describe import repository_digests
from .observe import needed, standing_on, used


@dataclass(frozen=True)
class Doomed:
    """What is to be removed, as it is. `target` is how the task calls it, `names` are those that it means.

    `users` are the containers that stand on the image, `rubbish` what nobody needs once the names are gone; None when a
    container cannot be read: nobody knows then what may go. `spared` are images without a name that are to stay.
    """

    target: str
    image: Optional[StoredImage] = None
    names: tuple[str, ...] = ()
    by_id: bool = False
    damaged: bool = False
    users: tuple[str, ...] = ()
    rubbish: Optional[Rubbish] = None
    spared: frozenset[str] = NOTHING
    leftovers: bool = False

    @property
    def is_last(self) -> bool:
        """Whether the image has no other names."""
        return self.image is not None and not set(self.image.references) - set(self.names)

    @property
    def untagged(self) -> tuple[str, ...]:
        """The names that go, and the digests in repositories that no other name is of."""
        if self.image is None:
            return self.names
        left = [name for name in self.image.references if name not in self.names]
        digests = set(repository_digests(self.image, self.names)) - set(repository_digests(self.image, left))
        return tuple(sorted({*self.names, *digests}))

    @property
    def deleted(self) -> tuple[str, ...]:
        """The ids of images and layers that go."""
        return tuple(sorted({*self.rubbish.images, *self.rubbish.layers})) if self.rubbish else ()


def observe(paths: Paths, name: str, tag: Optional[str] = None, *, prune: bool = True) -> Doomed:
    """What `name` means: a name with or without a tag, one with a digest, or the beginning of an id."""
    store = ImageStore(paths)
    everyone = used(paths)
    seen = _meant(store, name, tag)
    own = {seen.image.manifest_digest} if seen.image else set()
    spared = NOTHING if prune else rubbish.unnamed(store.layout) - own
    return replace(
        seen,
        users=standing_on(everyone or {}, seen.image),
        rubbish=None
        if everyone is None
        else rubbish.look(store, needed(paths, everyone, seen.names), seen.names, spared),
        spared=spared,
        leftovers=workspace.leftovers(paths),
    )


def _meant(store: ImageStore, name: str, tag: Optional[str]) -> Doomed:
    wanted = None if references.full_id(name) and not tag else references.parse(name, tag)
    names = store.names(wanted) if wanted else ()
    if names:
        try:
            return Doomed(str(wanted), store.find(names[0]), names)
        except BadImage:
            return Doomed(str(wanted), names=names, damaged=True)
    image = None if tag else store.find(name)
    if image is None:
        return Doomed(str(wanted or name))
    return Doomed(short_id(image.id), image, image.references, by_id=True)


def plan(seen: Doomed, *, force: bool = False) -> Plan:
    """The names are gone; the image with them when they were its last and no container stands on it."""
    if seen.by_id and len(seen.names) > 1 and not force:
        raise Conflict(
            f"cannot remove the image {seen.target}: it has several names ({', '.join(seen.names)})",
            hint="give one of them as name, or force: true to take all of them away",
        )
    if seen.is_last and seen.users and not (force and seen.names):
        raise Conflict(
            f"cannot remove the image {seen.target}: {_containers(seen.users)} on it",
            hint="remove what stands on it first"
            + (", or give force: true to take only the name away" if seen.names else ""),
        )
    steps = untag(seen.names, seen.image if seen.is_last and not force else None, damaged=seen.damaged)
    if steps or seen.image or seen.leftovers:
        steps.append(sweep(short_id(seen.image.id) if seen.image else "store", seen.spared))
    return Plan.of(steps)


def untag(names: Collection[str], unused: Optional[StoredImage], *, damaged: bool = False) -> list[Step]:
    """Names are taken away; only while no container stands on the image, where one is given as `unused`."""
    reason = "it cannot be read" if damaged else ""
    return [Step("untag", name, reason, detail={"unused": unused}) for name in names]


def sweep(target: str, spared: frozenset[str] = NOTHING, age: float = AGE) -> Step:
    """What nobody needs goes. `spared` are images without a name that stay; `age` is that of what was broken off."""
    return Step("sweep", target, "what no image and no container needs", detail={"spared": spared, "age": age})


def refuse_used(paths: Paths, image: StoredImage) -> None:
    """For the moment at which it counts: whoever makes a container holds the store's lock until its record is there."""
    users = standing_on(used(paths) or {}, image)
    if users:
        raise Conflict(f"cannot remove the image {short_id(image.id)}: {_containers(users)} on it")


def _containers(names: tuple[str, ...]) -> str:
    listed = ", ".join(names)
    return f"the container {listed} stands" if len(names) == 1 else f"the containers {listed} stand"
