# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a container between tasks. Whether it runs is not: only the kernel knows that."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from ...core.specs.network import Attachment
from ...core.specs.volume import Mount
from ..records import load, names_in

STARTED = "started"
STOPPED = "stopped"


@dataclass(frozen=True)
class Endpoint:
    """A container's addresses in one network, its own until it leaves; inside, the interface is `eth<index>`.

    Empty where the network does not have that family.
    """

    ipv4: str = ""
    index: int = 0
    ipv6: str = ""

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses there are."""
        return tuple(ip for ip in (self.ipv4, self.ipv6) if ip)

    def fits(self, wanted: Attachment) -> bool:
        """Whether it has the addresses that the task names."""
        return wanted.ipv4_address in ("", self.ipv4) and wanted.ipv6_address in ("", self.ipv6)


@dataclass(frozen=True)
class ContainerRecord:
    """A container that is defined, running or not.

    `mounts` are those of its specification, of `volumes_from` and of the image, every volume with its name.
    `secrets` are digests of their contents, made with `secret_key`: enough to see that one has changed.
    `userns` is the first of its own range of user and group ids, 0 for none.
    `host_ports` are the choices for published ports that are to be chosen.
    `wanted` is what somebody last did with it by a task, `STARTED` or `STOPPED`; empty when it was never started. With
    the restart policy it says what happens at boot.
    `on_trial`: it replaces another one, which is still there, and has not shown yet that it can.
    """

    id: str
    name: str
    created: str
    spec: ContainerSpec
    image_id: str
    layers: tuple[str, ...] = ()
    image_config: ImageConfig = ImageConfig()
    networks: dict[str, Endpoint] = field(default_factory=dict)
    userns: int = 0
    host_ports: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    mounts: tuple[Mount, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict)
    secret_key: str = ""
    wanted: str = ""
    on_trial: bool = False

    def all_mounts(self) -> tuple[Mount, ...]:
        """All mounts. Records of the first version have no others than those of the specification."""
        return self.mounts or self.spec.mounts

    def endpoints(self) -> list[tuple[str, Endpoint]]:
        """Networks and addresses in the order of the task: a JSON object has none."""
        return in_order(self.networks, self.spec.networks)


@dataclass(frozen=True)
class NamedSpec:
    """What a specification says of names."""

    name: str
    hostname: str = ""
    networks: tuple[Attachment, ...] = ()
    etc_hosts: dict[str, str] = field(default_factory=dict)
    uts: str = ""


@dataclass(frozen=True)
class NamedRecord:
    """A record as far as it is about names: the same file, read in a fraction of the time."""

    name: str
    spec: NamedSpec
    networks: dict[str, Endpoint] = field(default_factory=dict)
    complete: bool = False


def in_order(networks: dict[str, Endpoint], wanted: Sequence[Attachment]) -> list[tuple[str, Endpoint]]:
    """Endpoints by the order of the attachments that they are of."""
    order = {entry.name: position for position, entry in enumerate(wanted)}
    return sorted(networks.items(), key=lambda item: (order.get(item[0], len(order)), item[1].index))


def find(paths: Paths, name: str) -> Optional[ContainerRecord]:
    """The record of the container called `name`, or whose id it is (12 digits or more); None when there is none."""
    container_id = id_of(paths, name)
    return None if container_id is None else load(ContainerRecord, paths.container_record(container_id))


def id_of(paths: Paths, name: str) -> Optional[str]:
    """The id behind a name, from the name's symbolic link; ids and their beginnings stand for themselves."""
    if "/" in name or "\0" in name:
        return None
    named = behind(paths.name(name))
    if named:
        return named
    if len(name) >= 12 and all(digit in "0123456789abcdef" for digit in name):
        return next((known for known in names_in(paths.containers) if known.startswith(name)), None)
    return None


def behind(link: str) -> Optional[str]:
    """The id that a name's link leads to."""
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return None


def whole(paths: Paths, container_id: Optional[str]) -> Optional[ContainerRecord]:
    """The record of a container that was completely made; None for wrecks and for none."""
    try:
        record = load(ContainerRecord, paths.container_record(container_id)) if container_id else None
    except CorruptRecord:
        return None
    return record if record is not None and record.complete else None


def every(paths: Paths, ids: Optional[Iterable[str]] = None) -> Iterator[ContainerRecord]:
    """All readable records, or those of `ids`; one that cannot be read does not hide the others."""
    for container_id in names_in(paths.containers) if ids is None else sorted(ids):
        record = whole(paths, container_id)
        if record is not None:
            yield record
