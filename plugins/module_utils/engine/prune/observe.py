# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses: containers that do not run, and what no container needs but those that are to go. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

from ...core.paths import Paths
from ...image import rubbish, workspace
from ...image.rubbish import NOTHING, Rubbish
from ...image.store import ImageStore, StoredImage
from ...runtime import state
from ..builds import cache
from ..containers.living import live_process, restarting
from ..containers.record import ContainerRecord, behind, every, id_of
from ..images.observe import needed, standing_on, used
from ..networks import record as networks
from ..networks.leases import members
from ..records import names_in, peek
from ..volumes import record as volumes
from ..volumes.record import VolumeRecord
from ..volumes.users import holders
from .filters import Filters


class Wanted(NamedTuple):
    """Which kinds are pruned, and what of them; None for those that are not.

    `builder_cache`: also what builds have made and would find again, and the caches that their steps mount.
    """

    containers: Optional[Filters] = None
    images: Optional[Filters] = None
    networks: Optional[Filters] = None
    volumes: Optional[Filters] = None
    builder_cache: bool = False


@dataclass(frozen=True)
class Unused:
    """What would go. `rubbish` is what of the image store, `spared` the images without a name that are to stay,
    `builds` the images whose steps are forgotten, and `caches` the volumes that steps have mounted. `weights` are
    bytes, by kind and by what goes.

    `unknown`: a container's record cannot be read. Nobody knows then what it uses, so nothing goes but containers.
    """

    containers: tuple[ContainerRecord, ...] = ()
    images: tuple[StoredImage, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    rubbish: Optional[Rubbish] = None
    spared: frozenset[str] = NOTHING
    leftovers: bool = False
    unknown: tuple[str, ...] = ()
    weights: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def observe(paths: Paths, wanted: Wanted) -> Unused:
    """All that is wanted and that nobody uses."""
    gone = tuple(record for record in every(paths) if wanted.containers and _idle(paths, record, wanted.containers))
    weights = {"containers": {record.id: rubbish.tree_size(paths.container(record.id)) for record in gone}}
    unknown = tuple(one[:12] for one in names_in(paths.containers) if peek(paths, one) == {})
    if unknown:
        return Unused(gone, unknown=unknown, weights=weights)
    ids, names = {record.id for record in gone}, {record.name for record in gone}
    found = _images(paths, wanted, names) if wanted.images or wanted.builder_cache else Unused()
    chosen, caches = _volumes(paths, wanted, names)
    weights["volumes"] = {name: rubbish.tree_size(paths.volume(name)) for name in (*chosen, *caches)}
    return replace(
        found,
        containers=gone,
        networks=_networks(paths, wanted.networks, ids) if wanted.networks else (),
        volumes=chosen,
        caches=caches,
        weights={**found.weights, **weights},
    )


def _idle(paths: Paths, record: ContainerRecord, filters: Filters) -> bool:
    """It does not run, nor is about to. One that is being replaced, or is on trial, is not over yet."""
    found = state.read(paths.run_state(record.id))
    if live_process(found) or restarting(found) or id_of(paths, record.name) != record.id:
        return False
    return behind(paths.name_aside(record.name)) is None and filters.take(record.created, record.spec.labels)


def _networks(paths: Paths, filters: Filters, gone: Collection[str]) -> tuple[str, ...]:
    found = [one for one in networks.every(paths) if filters.take(one.created, one.spec.labels)]
    return tuple(one.name for one in found if not set(members(paths, one.name)) - set(gone))


def _volumes(paths: Paths, wanted: Wanted, gone: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of containers, and those of builds."""
    filters = wanted.volumes
    if not filters and not wanted.builder_cache:
        return (), ()
    users = holders(paths)
    idle = [one for one in volumes.every(paths) if not set(users.get(one.name, ())) - set(gone)]
    chosen = [one.name for one in idle if filters and _takes(filters, one)]
    return tuple(chosen), tuple(one.name for one in idle if wanted.builder_cache and one.build_cache)


def _takes(filters: Filters, volume: VolumeRecord) -> bool:
    meant = volume.anonymous or (filters.every and not volume.build_cache)
    return meant and filters.take(volume.created, volume.spec.labels)


def _images(paths: Paths, wanted: Wanted, gone: Collection[str]) -> Unused:
    store = ImageStore(paths)
    users = {name: ids for name, ids in (used(paths) or {}).items() if name not in gone}
    meant = _meant(store, wanted.images, users) if wanted.images else []
    spared = rubbish.unnamed(store.layout) - {image.manifest_digest for image in meant}
    without = {name for image in meant for name in image.references}
    found = rubbish.look(store, needed(paths, users, without, age=0), without, spared)
    builds = cache.idle(paths) if wanted.builder_cache else ()
    more = rubbish.look(store, needed(paths, users, {*without, *builds}, age=0), without, spared) if builds else found
    weights, plain = rubbish.weights(store, more), rubbish.goes_with(found) if wanted.images else NOTHING
    return Unused(
        images=tuple(meant),
        builds=builds,
        rubbish=more,
        spared=spared,
        leftovers=workspace.leftovers(paths, age=0),
        weights={
            "images": {one: size for one, size in weights.items() if one in plain},
            "builder_cache": {one: size for one, size in weights.items() if one not in plain},
        },
    )


def _meant(store: ImageStore, filters: Filters, users: Mapping[str, Collection[str]]) -> list[StoredImage]:
    found = [image for image in store.images() if filters.every or not image.references]
    return [
        image for image in found if not standing_on(users, image) and filters.take(image.created, image.config.labels)
    ]
