# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a container's plan, each done once and taken back when a later one fails. The only writer.

Every step can be run again after a crash in its middle. Taking back needs two verbs only: a container that is new is
removed whole, one that was there before is put back to rest.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Callable, Optional

from ...core.errors import MiniError, NotFound
from ...core.names import new_id
from ...core.paths import Paths
from ...core.plan import Action, Joint, Step
from ...core.specs.container import ContainerSpec
from ...core.specs.volume import Mount
from ...image.store import ImageStore, StoredImage
from ...linux.files import make_private_dir, sync_dir, write_atomic
from ...runtime import state
from .. import reserve
from ..networks import attach
from ..networks.actions import actions as network_actions
from ..records import save
from ..runtime import Front
from . import (
    afterwards,
    bundle,
    hosts,
    joint,
    namespaces,
    secrets,
    stopping,
    storage,
    users,
    watching,
)
from .mounts import EMPTY
from .neighbours import Neighbours
from .plan import start_steps
from .record import STARTED, ContainerRecord, behind, find, id_of, whole
from .removing import purge, release_networks
from .wiring import Wiring


class Actions:
    """What the steps of one container share: its lock, and its record, which changes as they go.

    `front` is where somebody has been called who will start it.
    """

    def __init__(
        self, paths: Paths, name: str, lock: int, contents: Mapping[str, bytes], front: Optional[Front] = None
    ) -> None:
        self.paths = paths
        self.name = name
        self.lock = lock
        self.front = front
        self.contents: Optional[Mapping[str, bytes]] = contents
        self.wiring = Wiring(paths, lambda: self.record, self._save)
        self._before: Optional[tuple[ContainerRecord, dict[str, bytes]]] = None
        self._record: Optional[ContainerRecord] = None

    def table(self) -> Mapping[str, Action]:
        """Step name → action; the networks' own repairs among them."""
        return {
            **network_actions(self.paths),
            **self.wiring.table(),
            "publish": self._joint(joint.publish, self.wiring.republish),
            "write-bundle": self._joint(joint.write_bundle),
            "start": self._joint(joint.start, self.rest),
            "wait-healthy": self._joint(joint.wait_healthy),
            "stop": self._joint(joint.stop, self.bring_back),
            "sweep": Action(self.sweep),
            "reserve-name": Action(self.reserve_name, self.take_back_new),
            "make-directories": Action(self.make_directories),
            "make-volume": Action(self.make_volume),
            "make-mountpoint": Action(self.make_mountpoint),
            "write-secrets": Action(self.write_secrets, self.give_secrets_back),
            "write-record": Action(self.write_record),
            "join-namespaces": Action(self.join_namespaces, self.rest),
            "make-shm": Action(self.make_shm, self.rest),
            "make-userns": Action(self.make_userns, self.rest),
            "make-netns": Action(self.make_netns, self.rest),
            "write-hosts": Action(self.write_hosts),
            "adopt": Action(self.adopt),
            "reload": Action(self.reload),
            "pause": Action(self.pause),
            "unpause": Action(self.unpause),
            "set-aside": Action(self.set_aside, self.restore),
            "restore": Action(self.restore),
            "resume": Action(self.resume, self.give_up),
            "discard": Action(self.discard),
            "remove": Action(self.remove),
        }

    def _joint(self, work: Joint[Actions], undo: Optional[Callable[[Step], None]] = None) -> Action:
        """What is done for several containers at once, for this one."""

        def do(step: Step) -> None:
            (failed,) = work([(self, step)])
            if failed:
                raise failed

        return Action(do, undo)

    @property
    def record(self) -> ContainerRecord:
        """The container's record, read when it is first needed."""
        if self._record is None:
            self._record = find(self.paths, self.name)
        if self._record is None:
            raise NotFound(f"container {self.name} has gone meanwhile", hint="run the task again")
        return self._record

    # making

    def reserve_name(self, step: Step) -> None:
        """The name first: whatever comes after can be found, and removed, by it.

        Under the store's lock: an image goes only when no container's record says that it is used.
        """
        store = ImageStore(self.paths)
        with store.locked():
            mounts = storage.named(step.detail["mounts"], store)
            self._reserve(step.detail["spec"], store.still(step.detail["image"]), mounts)

    def _reserve(self, spec: ContainerSpec, image: StoredImage, mounts: tuple[Mount, ...]) -> None:
        old = whole(self.paths, behind(self.paths.name_aside(self.name)))
        self._record = ContainerRecord(
            id=new_id(),
            name=self.name,
            created=state.now(),
            spec=spec,
            image_id=image.id,
            layers=tuple(image.layers),
            image_config=image.config,
            mounts=mounts,
            userns=users.free_range(self.paths) if spec.userns_mode else 0,
            host_ports=old.host_ports if old else {},
        )
        make_private_dir(self.paths.names)
        make_private_dir(self.paths.containers)
        os.symlink(os.path.join("..", "container", self.record.id), self.paths.name(self.name))
        self._save(self._record)

    def take_back_new(self, step: Step) -> None:
        """A container that never came to be leaves nothing."""
        container_id = id_of(self.paths, self.name)
        if container_id:
            purge(self.paths, self.name, container_id, volumes=True)
        self._record = None

    def make_directories(self, step: Step) -> None:
        """The container's own layer, the overlay's work directory, the place to mount them."""
        more = [(EMPTY, 0o755)] if any(mount.kind == "image" for mount in self.record.mounts) else []
        for name, mode in (("upper", 0o755), ("work", 0o700), ("rootfs", 0o755), *more):
            path = self.paths.container(self.record.id, name)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, mode)

    def make_volume(self, step: Step) -> None:
        """A volume on demand, with the image's content while it has none. A named one outlives the container."""
        (mount,) = (mount for mount in self.record.mounts if mount.target == step.detail["target"])
        storage.make(self.paths, self.record, mount)

    def make_mountpoint(self, step: Step) -> None:
        """The source of a bind mount, on the host."""
        os.makedirs(step.target, mode=0o755, exist_ok=True)

    def write_record(self, step: Step) -> None:
        """From here on the container is defined, whatever becomes of the host: a power cut leaves it with its name."""
        new = not self.record.complete
        spec = step.detail.get("spec", self.record.spec)
        kept = {name: step.detail.get(name, getattr(self.record, name)) for name in ("wanted", "on_trial")}
        self._save(replace(self.record, spec=spec, complete=True, **kept))
        for directory in (self.paths.containers, self.paths.names) if new else ():
            sync_dir(directory)

    def _save(self, record: ContainerRecord) -> None:
        """Also on a full disk where it replaces one: that takes room for a moment only.

        As long as it is half made the record need not outlive a power cut: empty or whole, it is swept.
        """
        path = self.paths.container_record(record.id)
        work = partial(save, record, path, durable=record.complete)
        if os.path.exists(path):
            reserve.in_need(self.paths, work)
        else:
            work()
        self._record = record

    # starting

    def make_netns(self, step: Step) -> None:
        """Pinned below /run, so that it is complete before the process and stays when that restarts."""
        make_private_dir(self.paths.run(self.record.id))
        namespaces.make_network(self.paths, self.record)
        attach.create_netns(self.paths.netns(self.record.id))

    def join_namespaces(self, step: Step) -> None:
        """Those of other containers."""
        namespaces.join(self.paths, self.record)

    def make_userns(self, step: Step) -> None:
        """Users of its own, to whom its network will belong."""
        namespaces.make_users(self.paths, self.record)

    def make_shm(self, step: Step) -> None:
        """Memory that others may share."""
        namespaces.make_shm(self.paths, self.record)

    def write_hosts(self, step: Step) -> None:
        """The container's files in /etc, and those of the others in its networks."""
        known = Neighbours(self.paths)
        hosts.write(self.paths, self.record, known)
        hosts.tell_peers(self.paths, self.record.networks, but=self.record.id, known=known)

    def write_bundle(self, step: Step, known: Neighbours) -> None:
        """What the runtime is told, and the container's files in /etc."""
        hosts.write(self.paths, self.record, known)
        layers = [self.paths.layer(chain_id) for chain_id in self.record.layers]
        record = replace(self.record, spec=step.detail.get("spec", self.record.spec))
        config = bundle.build(self.paths, record, layers, afterwards.command(self.paths, record.id, record.spec))
        path = self.paths.container(self.record.id, "config.json")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.paths.exit(self.record.id))
        # Every start writes it anew.
        write_atomic(path, json.dumps(config).encode(), durable=False)

    def write_secrets(self, step: Step) -> None:
        """Into memory; what is remembered of them is a digest."""
        self._before = (self.record, secrets.in_memory(self.paths, self.record))
        old = whole(self.paths, behind(self.paths.name_aside(self.name)))
        contents = self.contents
        if contents is not None:
            contents = {**secrets.kept(self.paths, self.record, old), **contents}
        self._save(secrets.write(self.paths, self.record, contents))

    def give_secrets_back(self, step: Step) -> None:
        """The contents that were there before."""
        if self._before is not None and self._before[1]:
            self._save(secrets.write(self.paths, *self._before))

    def adopt(self, step: Step) -> None:
        """Watch again over a container whose monitor is dead."""
        watching.adopt(self.paths, self.record, self.lock)

    def reload(self, step: Step) -> None:
        """The monitor goes by the new bundle when this returns."""
        watching.reload(self.paths, self.record)

    def pause(self, step: Step) -> None:
        """Stop all processes where they are."""
        watching.freeze(self.record, frozen=True)

    def unpause(self, step: Step) -> None:
        """Let them go on."""
        watching.freeze(self.record, frozen=False)

    def want(self, wanted: str) -> None:
        """Note what somebody last did with it."""
        if self.record.wanted != wanted:
            self._save(replace(self.record, wanted=wanted))

    # stopping and removing

    def bring_back(self, step: Step) -> None:
        """Start again what was stopped only to be replaced, or to be given new secrets."""
        if step.detail.get("bring_back"):
            self._record = None
            self.contents = None  # it is to have the secrets that it had
            table = self.table()
            for again in start_steps(self.record.spec, self.record.image_config):
                table[again.name].do(again)

    def set_aside(self, step: Step) -> None:
        """The name is free for the new container; the old one is found by another."""
        os.rename(self.paths.name(self.name), self.paths.name_aside(self.name))
        self._record = None

    def restore(self, step: Step) -> None:
        """Put the old container back in its place, with its addresses."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.paths.name_aside(self.name), self.paths.name(self.name))
        self._record = None
        for name, endpoint in self.record.networks.items():
            attach.lease(self.paths, attach.load(self.paths, name), self.record.id, *endpoint.ips)

    def resume(self, step: Step) -> None:
        """Go on with a replacement that was cut short, and with what a failure of it means."""
        self._record = None

    def give_up(self, step: Step) -> None:
        """The replacement has failed: the one that was set aside is back, and runs if it was meant to."""
        self.take_back_new(step)
        self.restore(step)
        if self.record.wanted == STARTED:
            self.bring_back(replace(step, detail={"bring_back": True}))

    def discard(self, step: Step) -> None:
        """Remove the container that has been replaced. What cannot be removed now is in the plan of the next run."""
        replaced = behind(self.paths.name_aside(self.name))
        record = whole(self.paths, behind(self.paths.name(self.name)))
        with contextlib.suppress(MiniError, OSError):
            if record and record.on_trial:
                # From now on there is nothing whole to go back to.
                self._save(replace(record, on_trial=False))
            if replaced:
                purge(self.paths, self.name, replaced, volumes=step.detail["volumes"])

    def rest(self, step: Step) -> None:
        """Take back a start: nothing runs, nothing is published."""
        stopping.end(self.paths, self.record, kill=True)
        release_networks(self.paths, {self.record.id: self.record})

    def sweep(self, step: Step) -> None:
        """Remove what a crash left."""
        purge(self.paths, self.name, step.detail["id"], volumes=True)
        self._record = None

    def remove(self, step: Step) -> None:
        """Remove the container; named volumes stay."""
        purge(self.paths, self.name, self.record.id, volumes=step.detail["volumes"])
        self._record = None
