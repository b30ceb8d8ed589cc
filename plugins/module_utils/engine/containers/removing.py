# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container holds of the host, and how it is given back. All of it can be repeated."""

from __future__ import annotations

import contextlib
import os
from typing import Optional

from ...core.errors import MiniError
from ...core.paths import Paths
from ...linux.files import remove_tree
from ..networks import attach
from ..records import names_in
from . import hosts, namespaces, ports, publishing, secrets, stopping, storage
from .record import ContainerRecord, behind, find


def release_network(paths: Paths, container_id: str, record: Optional[ContainerRecord]) -> None:
    """Rules, interfaces (they go with their namespace), port claims, what is shared. Addresses stay.

    The namespace goes after the rules: without it there are none.
    """
    netns = paths.netns(container_id)
    published = publishing.of(record) if record else ()
    if attach.netns_exists(netns) and (record is None or published):
        attach.unpublish(paths, container_id)
    attach.delete_netns(netns)
    namespaces.release(paths, container_id)
    ports.release(paths, container_id, published)


def purge(paths: Paths, name: str, container_id: str, *, volumes: bool) -> None:
    """Everything of a container, even if its record cannot be read. The name goes last, so it can be repeated.

    With `volumes` also those that nobody named.
    """
    record = None
    with contextlib.suppress(MiniError):
        record = find(paths, container_id)
    stopping.kill_all(paths, container_id, record.spec.cgroup_parent if record else "")
    release_network(paths, container_id, record)
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
