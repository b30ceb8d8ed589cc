# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container holds of the host, and how it is given back. All of it can be repeated."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Optional

from ...core.errors import MiniError
from ...core.paths import Paths
from ...linux.files import remove_tree
from ..networks import attach
from ..records import names_in
from . import hosts, namespaces, ports, publishing, secrets, stopping, storage
from .record import ContainerRecord, behind, find


def release_networks(paths: Paths, containers: Mapping[str, Optional[ContainerRecord]]) -> None:
    """Rules, interfaces (they go with their namespace), port claims, what is shared. Addresses stay.

    The namespace goes after the rules: without it there are none. `containers` are records by ids, None for one that
    cannot be read.
    """
    with_rules = [
        container_id
        for container_id, record in containers.items()
        if attach.netns_exists(paths.netns(container_id)) and (record is None or publishing.published(record))
    ]
    if with_rules:
        attach.unpublish(paths, with_rules)
    for container_id, record in containers.items():
        attach.delete_netns(paths.netns(container_id))
        namespaces.release(paths, container_id)
        ports.release(paths, container_id, publishing.of(record) if record else ())


def purge(paths: Paths, name: str, container_id: str, *, volumes: bool) -> None:
    """Everything of a container, even if its record cannot be read. The name goes last, so it can be repeated.

    With `volumes` also those that nobody named.
    """
    record = None
    with contextlib.suppress(MiniError):
        record = find(paths, container_id)
    stopping.kill_all(paths, container_id, record.spec.cgroup_parent if record else "")
    release_networks(paths, {container_id: record})
    for network in record.networks if record else names_in(paths.networks):
        attach.release(paths, network, container_id)
    if record and volumes:
        storage.drop(paths, record)
    secrets.forget(paths, container_id)
    remove_tree(paths.run(container_id))
    remove_tree(paths.container(container_id))
    known = record.name if record else name
    for link in (paths.name(known), paths.name_aside(known)):
        if behind(link) == container_id:
            os.unlink(link)
    if record:
        hosts.tell_peers(paths, record.networks)
