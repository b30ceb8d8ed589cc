# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of a network, from the network's side: who joins it, who leaves, and who must be connected anew."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Callable, Optional

from ...core.errors import NotFound
from ...core.paths import Paths
from ...core.plan import Observer, Plan, silent
from ...core.specs.container import ContainerSpec
from ...core.specs.network import Attachment
from ..networks import attach
from .converge import converge_all
from .plan import Wish
from .record import ContainerRecord, every, find

Networks = tuple[Attachment, ...]


def check_names(paths: Paths, names: Iterable[str]) -> None:
    """`NotFound` names a container that is to join and does not exist."""
    for name in names:
        if find(paths, name) is None:
            raise NotFound(f"the container {name!r} of connected does not exist", hint="make it first, or leave it out")


def bring(
    paths: Paths,
    network: str,
    names: Collection[str],
    *,
    appends: bool = False,
    change: Optional[attach.Change] = None,
    check: bool = False,
    observer: Observer = silent,
) -> Plan:
    """These containers are in the network, running or not, and no others, unless `appends`. `change` is what the same
    task makes of the network.

    In check mode a container that does not exist may be what an earlier task would have made.
    """
    wanted = {record.id: record for record in (find(paths, name) for name in names) if record is not None}
    there = {record.id: record for record in every(paths, attach.members(paths, network))}
    joining = [record for record in wanted.values() if not _is_in(network, record)]
    leaving = [] if appends else [record for record in there.values() if record.id not in wanted]

    def without(record: ContainerRecord) -> Networks:
        return tuple(entry for entry in record.spec.networks if entry.name != network)

    wishes = [
        *_wishes(joining, lambda record: (*record.spec.networks, Attachment(network))),
        *_wishes(leaving, without),
    ]
    return _converge(paths, wishes, {network: change} if change else {}, check=check, observer=observer)


def leave(paths: Paths, network: str, *, check: bool = False, observer: Observer = silent) -> tuple[Plan, list[str]]:
    """Nobody is in the network, because it goes; what that takes, and the ids of those who were in it. Who is in no
    other network keeps running, and publishes nothing until it is in one again."""
    ids = [record.id for record in every(paths, attach.members(paths, network))]
    return bring(paths, network, (), change=attach.Change(), check=check, observer=observer), ids


def connect_again(
    paths: Paths,
    network: str,
    ids: Iterable[str],
    change: attach.Change,
    *,
    check: bool = False,
    observer: Observer = silent,
) -> Plan:
    """The network has changed: those that were in it get the addresses, routes and cables that they need now. Who asked
    for an address that it does not have any more gets any other."""

    def possible(entry: Attachment) -> Attachment:
        if entry.name != network or change.record is None:
            return entry
        asked = (entry.ipv4_address, entry.ipv6_address)
        ipv4, ipv6 = (ip if ip and attach.is_for_containers(change.record, ip) else "" for ip in asked)
        return replace(entry, ipv4_address=ipv4, ipv6_address=ipv6)

    wishes = _wishes(every(paths, ids), lambda record: tuple(map(possible, record.spec.networks)))
    return _converge(paths, wishes, {network: change}, check=check, observer=observer)


def _is_in(network: str, record: ContainerRecord) -> bool:
    return any(entry.name == network for entry in record.spec.networks)


def _wishes(records: Iterable[ContainerRecord], networks: Callable[[ContainerRecord], Networks]) -> list[Wish]:
    return [
        Wish(
            replace(ContainerSpec(record.name), networks=networks(record)),
            "present",
            frozenset({"networks"}),
            settles=False,
        )
        for record in records
    ]


def _converge(
    paths: Paths, wishes: Sequence[Wish], changes: Mapping[str, attach.Change], *, check: bool, observer: Observer
) -> Plan:
    """Each is tried; the first error is the task's, after all others have had their turn."""
    plan, failed = Plan(), None
    if not wishes:
        return plan
    for outcome in converge_all(paths, wishes, check=check, observer=observer, each=True, changes=changes):
        plan += outcome.plan
        failed = failed or outcome.error
    if failed:
        raise failed
    return plan
