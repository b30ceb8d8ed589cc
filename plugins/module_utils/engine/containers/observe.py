# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of a container: our record, and what the kernel says. Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Optional

from ...core.errors import MiniError
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...core.specs.container import ContainerSpec
from ...core.specs.volume import Mount
from ...image.store import ImageStore, StoredImage
from ...linux.cgroups.detect import open_cgroup
from ...runtime import state
from ..networks import attach
from . import confinement, devices, firstborn, hosts, macs, namespaces, secrets, vitals
from .bundle import cgroup_path, resources
from .compare import image_label
from .ending import last_run
from .living import live_process, restarting
from .mounts import not_read_only, unshared
from .neighbours import Neighbours
from .publishing import published
from .record import ContainerRecord, behind, id_of, whole
from .rewiring import plug, routes
from .sharing import joined

RUNNING = "running"
EXITED = "exited"
CREATED = "created"
ABSENT = "absent"


@dataclass(frozen=True)
class Observation:
    """One container as it is. `half_made` is the id of one whose making or removal was cut short, `replaced` that of
    one which was set aside for it; with `restore` the latter is the one to go on with, with
    `on_trial` it still can be: the task that replaced it was killed before anybody knew how the new one does.

    `missing` are the things outside it that the task counts on and that are not there: networks, bind sources,
    devices. `peers_down` are the containers to join that do not run; `severed` says which of the namespaces that it has
    joined are others by now.
    `donors` are the mounts of each container in `volumes_from`, None for one that does not exist. `changed_secrets` are
    those whose content is another one than when they were written, `lost_secrets` those that are not there any more.
    `other_images` are those of mounts whose name means another one by now. `bindings` are what networks say
    of published ports. `mac_holders` are the containers that have a MAC address which it asks for.
    """

    status: str = ABSENT
    record: Optional[ContainerRecord] = None
    half_made: str = ""
    replaced: str = ""
    restore: bool = False
    on_trial: bool = False
    image: Optional[StoredImage] = None
    state: dict[str, Any] = field(default_factory=dict)
    limit_drift: tuple[str, ...] = ()
    lost_networks: tuple[str, ...] = ()
    lost_ports: tuple[str, ...] = ()
    lost_files: tuple[str, ...] = ()
    severed: tuple[str, ...] = ()
    peers_down: tuple[str, ...] = ()
    vitals: vitals.Vitals = vitals.Vitals()
    network_repair: Plan = Plan()
    missing: tuple[str, ...] = ()
    donors: Mapping[str, Optional[tuple[Mount, ...]]] = field(default_factory=dict)
    other_images: tuple[str, ...] = ()
    changed_secrets: tuple[str, ...] = ()
    lost_secrets: tuple[str, ...] = ()
    misplaced: Mapping[str, str] = field(default_factory=dict)
    bindings: Mapping[str, attach.Binding] = field(default_factory=dict)
    mac_holders: Mapping[macs.Place, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether the container's first process runs."""
        return self.status == RUNNING


class Surroundings:
    """What the containers of one task have in common, each looked at once. `changes` are of networks, by the task;
    `check` is check mode."""

    def __init__(
        self, paths: Paths, changes: Mapping[str, attach.Change] = MappingProxyType({}), *, check: bool = True
    ) -> None:
        self._paths = paths
        self._repairs: dict[str, Plan] = {}
        self._images: dict[str, Optional[StoredImage]] = {}
        self.networks = attach.Networks(paths, changes)
        self.neighbours = Neighbours(paths, self.networks, keep=not check)
        self.rules = attach.Sight(paths)

    def image(self, reference: str) -> Optional[StoredImage]:
        """The image of this name; None when there is none, or no name."""
        if reference not in self._images:
            self._images[reference] = ImageStore(self._paths).find(reference) if reference else None
        return self._images[reference]

    def repair(self, names: Iterable[str]) -> Plan:
        """What these networks need to be as their records say."""
        found: dict[tuple[str, str], Step] = {}
        for name in self.networks.at_rest(names):
            if name not in self._repairs:
                self._repairs[name] = attach.repair_plan(self._paths, self.networks.load(name), self.rules)
            found.update({(step.name, step.target): step for step in self._repairs[name]})
        return Plan.of(step for step in found.values() if step.name != "restore-rules" or not self.networks.restored)


def observe(
    paths: Paths,
    asked: ContainerSpec,
    contents: Optional[Mapping[str, bytes]] = None,
    surroundings: Optional[Surroundings] = None,
) -> Observation:
    """Look at the container that is asked for, and at what a new one would need. `contents` are those of secrets."""
    common = surroundings or Surroundings(paths)
    around = Observation(
        image=common.image(asked.image),
        missing=tuple(_missing(asked, common)),
        peers_down=tuple(_peers_down(paths, asked)),
    )
    around = replace(around, **_names(paths, asked.name))
    record = around.record
    names = dict.fromkeys([*(record.networks if record else ()), *(entry.name for entry in asked.networks)])
    donors = [entry.container for entry in asked.volumes_from or (record.spec.volumes_from if record else ())]
    known = common.networks.known(names)
    around = replace(
        around,
        network_repair=common.repair(known),
        bindings={name: attach.binding(common.networks.load(name)) for name in known},
        mac_holders=_mac_holders(paths, asked, around),
        donors={name: _mounts_of(paths, name) for name in donors},
    )
    if record is None:
        return around
    around = replace(around, misplaced=_misplaced(record, common.networks))
    if record.spec.secrets and asked.secrets:
        changed, lost = secrets.changed(record, contents or {}), secrets.lost(paths, record, contents or {})
        around = replace(around, changed_secrets=changed, lost_secrets=lost)
    if not asked.image:
        around = replace(around, image=common.image(record.spec.image))
    if asked.mounts:
        around = replace(around, other_images=_other_images(common, record))
    found = last_run(paths, record)
    seen = replace(around, state=found)
    if live_process(found) is None and not restarting(found):
        return replace(seen, status=EXITED if found else CREATED)
    return _observe_running(paths, record, seen, common)


def _names(paths: Paths, name: str) -> dict[str, Any]:
    """Whom the name means; who is half made; who was set aside by a replacement that was cut short."""
    current = id_of(paths, name)
    aside = behind(paths.name_aside(name))
    record = whole(paths, current)
    found: dict[str, Any] = {"record": record, "half_made": current if current and record is None else ""}
    if record is None and aside:
        return {**found, "record": whole(paths, aside), "replaced": aside, "restore": True}
    on_trial = record is not None and record.on_trial and whole(paths, aside) is not None
    return {**found, "replaced": aside or "", "on_trial": on_trial}


def _missing(asked: ContainerSpec, common: Surroundings) -> list[str]:
    """One sentence for each thing that is not there."""
    names = [entry.name for entry in asked.networks]
    known = common.networks.known(names)
    absent = [f"network {name} does not exist" for name in names if name not in known]
    binds = [mount.source for mount in asked.mounts if mount.kind == "bind" and not mount.create]
    files = [secret.src for secret in asked.secrets if secret.src]
    return [
        *absent,
        *(f"the bind source {path} does not exist" for path in binds if not os.path.exists(path)),
        *(f"the file {path} of a secret does not exist" for path in files if not os.path.isfile(path)),
        *(
            f"image {name}, which is to be mounted, is not in the store"
            for name in _absent_images(common, asked.mounts)
        ),
        *unshared(asked.mounts),
        *not_read_only(asked.mounts),
        *devices.lacking(asked),
        *firstborn.lacking(asked),
        *confinement.lacking(asked),
    ]


def _absent_images(common: Surroundings, asked: Iterable[Mount]) -> list[str]:
    return [mount.source for mount in asked if mount.kind == "image" and common.image(mount.source) is None]


def _other_images(common: Surroundings, record: ContainerRecord) -> tuple[str, ...]:
    """The images that the container has mounted, under names which mean others by now."""
    found = []
    for mount in record.mounts:
        image = common.image(mount.source) if mount.kind == "image" else None
        if image is not None and image.id != mount.image_id:
            found.append(f"{mount.source} is {image_label(image.id)} now")
    return tuple(found)


def _mounts_of(paths: Paths, name: str) -> Optional[tuple[Mount, ...]]:
    record = whole(paths, id_of(paths, name))
    return record.all_mounts() if record else None


def _peers_down(paths: Paths, asked: ContainerSpec) -> list[str]:
    found = []
    for name in dict.fromkeys(joined(asked).values()):
        other = whole(paths, id_of(paths, name))
        if other is None or live_process(state.read(paths.run_state(other.id))) is None:
            found.append(name)
    return found


def _observe_running(paths: Paths, record: ContainerRecord, seen: Observation, common: Surroundings) -> Observation:
    ports = published(record)
    looked_for = record.networks and not common.networks.restored
    cgroup = open_cgroup(cgroup_path(record.id, record.spec.cgroup_parent))
    return replace(
        seen,
        status=RUNNING,
        vitals=vitals.look(paths, record.id, seen.state, cgroup),
        limit_drift=tuple(cgroup.drift(resources(record.spec))),
        lost_networks=tuple(_lost_networks(paths, record, common.networks)),
        lost_ports=tuple(attach.published(record.id, ports, common.rules)) if looked_for else (),
        lost_files=tuple(hosts.stale(paths, record, common.neighbours)),
        severed=tuple(namespaces.severed(paths, record)),
    )


def _mac_holders(paths: Paths, asked: ContainerSpec, seen: Observation) -> dict[macs.Place, str]:
    """Who else has the MAC addresses that are asked for now; neither the container itself, nor what it replaces."""
    own = (seen.record.id if seen.record else "", seen.half_made, seen.replaced)
    has = macs.places(seen.record.spec.networks) if seen.record else []
    news = [place for place in macs.places(asked.networks) if place not in has]
    found = {place: attach.mac_holder(paths, *place, own) for place in news}
    return {place: holder for place, holder in found.items() if holder}


def _misplaced(record: ContainerRecord, networks: attach.Networks) -> dict[str, str]:
    """The networks that have changed so that the container needs other addresses, and why."""
    known = networks.known(record.networks)
    found = {name: attach.misplaced(networks.load(name), record.networks[name].ips) for name in known}
    return {name: why for name, why in found.items() if why}


def _lost_networks(paths: Paths, record: ContainerRecord, networks: attach.Networks) -> list[str]:
    """The networks whose interface is gone, from the host or from the container."""
    lost = []
    preferred = routes(record.spec.networks)
    for name, endpoint in record.networks.items():
        try:
            network = networks.load(name)
            inside = plug(endpoint, preferred.get(name))
            if attach.connected(paths, network, record.id, paths.netns(record.id), inside):
                continue
        except MiniError:
            pass
        lost.append(name)
    return lost


def log_path(paths: Paths, container_id: str) -> str:
    """The container's log."""
    return os.path.join(paths.container(container_id), "log")
