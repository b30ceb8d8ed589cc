# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in a network under which names: what the hosts files of its containers need of one another.

Each start changes the hosts files of all others in the network, and there may be a thousand, whose records take a
second to read. So what is needed of them is kept in one small table a network. An entry counts only while the record
is the very file that it was made of (its inode and time): nobody has to keep a table right, and one that is lost or
old costs time alone. It lies where no container can write, like the records.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional, Union

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...linux.files import make_private_dir, write_atomic
from ...network.hosts import Names, lines
from ...runtime.state import stamp
from ..networks import attach, far
from ..records import load
from .bundle import hostname
from .record import ContainerRecord, NamedRecord, in_order

_FORMAT = 2


class Neighbour(NamedTuple):
    """Addresses and names of a container: for itself, for the others in each of its networks, and its `etc_hosts`;
    and the names that it has for others, as `container:alias`.
    """

    own: list[Names]
    shown: dict[str, list[Names]]
    more: dict[str, str]
    links: dict[str, list[str]]


def neighbour(record: Union[ContainerRecord, NamedRecord]) -> Neighbour:
    """What a record says of it."""
    found = in_order(record.networks, record.spec.networks)
    aliases = {entry.name: entry.aliases for entry in record.spec.networks}
    own: list[Names] = [(ip, [hostname(record.spec), record.name]) for _network, place in found for ip in place.ips]
    shown: dict[str, list[Names]] = {
        network: [(ip, [record.name, *aliases.get(network, ())]) for ip in place.ips] for network, place in found
    }
    links = {entry.name: list(entry.links) for entry in record.spec.networks if entry.links}
    return Neighbour(own, shown, record.spec.etc_hosts, links)


class Neighbours:
    """All containers of the networks that are asked for, each network read once.

    With `keep` tables that were not right are written again: check mode, and who only wants to know, write nothing.
    """

    def __init__(self, paths: Paths, networks: Optional[attach.Networks] = None, *, keep: bool = True) -> None:
        self._paths = paths
        self._keep = keep
        self._members: dict[str, dict[str, Neighbour]] = {}
        self._ordered: dict[frozenset[str], _Ordered] = {}
        self.networks = networks or attach.Networks(paths)

    def of(self, network: str) -> dict[str, Neighbour]:
        """The containers of a network by their ids."""
        if network not in self._members:
            found, hit = _read(self._paths, network, keep=self._keep), self.networks.hit(network)
            self._members[network] = {owner: known for owner, known in found.items() if owner not in hit}
        return self._members[network]

    def lines(self, networks: Iterable[str], but: str) -> str:
        """The lines of a hosts file about all containers of these networks but one."""
        wanted = frozenset(networks)
        if wanted not in self._ordered:
            self._ordered[wanted] = _Ordered(entry for network in wanted for entry in self._entries(network))
        return self._ordered[wanted].but(but)

    def linked(self, links: Mapping[str, Sequence[str]]) -> Iterator[Names]:
        """The addresses of those that are linked to, under the names that only this container has for them."""
        for network, wanted in links.items():
            for container, _colon, alias in (link.partition(":") for link in wanted):
                for container_id, other in self.of(network).items():
                    for ip, names in other.shown[network]:
                        if container == names[0] or (len(container) >= 12 and container_id.startswith(container)):
                            yield ip, [alias]

    def _entries(self, network: str) -> Iterator[tuple[str, Sequence[str], str]]:
        """Addresses and names, here and on other hosts, and whose they are."""
        for container_id, found in self.of(network).items():
            yield from ((ip, names, container_id) for ip, names in found.shown[network])
        yield from ((ip, names, "") for ip, names in far.entries(self._paths, network))


def names_in(paths: Paths, network: str) -> dict[str, list[str]]:
    """The names and aliases of the network's containers on this host, with their addresses: for other hosts."""
    found: dict[str, set[str]] = {}
    for known in Neighbours(paths, keep=False).of(network).values():
        for ip, names in known.shown[network]:
            for name in names:
                found.setdefault(name, set()).add(ip)
    return {name: sorted(found[name]) for name in sorted(found)}


class _Ordered:
    """Lines in the order of addresses, made once for all who need them without their own.

    Who is here comes before who is on other hosts: the first line that has a name is the one that is believed, and no
    other host is to take a name from a container of this one.
    """

    def __init__(self, entries: Iterable[tuple[str, Sequence[str], str]]) -> None:
        self._places: dict[str, list[tuple[int, int]]] = {}
        found: list[str] = []
        end = 0
        for ip, names, container_id in sorted(entries, key=lambda entry: (not entry[2], entry)):
            found.append(lines([(ip, names)]))
            begin, end = end, end + len(found[-1])
            self._places.setdefault(container_id, []).append((begin, end))
        self._text = "".join(found)

    def but(self, container_id: str) -> str:
        """The text without what is about one, cut out: there may be a thousand who each want another."""
        found, since = "", 0
        for begin, end in self._places.get(container_id, ()):
            found += self._text[since:begin]
            since = end
        return found + self._text[since:]


def _read(paths: Paths, network: str, *, keep: bool) -> dict[str, Neighbour]:
    """The table as it should be; to `keep` is to write it again if it was not."""
    before = _table(paths.names_in(network))
    after = {container_id: _entry(paths, container_id, before) for container_id in attach.holders(paths, network)}
    if keep and after != before:
        _keep(paths.names_in(network), after)
    found = {container_id: entry[1] for container_id, entry in after.items()}
    return {container_id: known for container_id, known in found.items() if known and network in known.shown}


_Entry = tuple[str, Optional[Neighbour]]
"""Of which file it was made, and what that said; None when it is no record of a container that was completely made."""


def _entry(paths: Paths, container_id: str, before: dict[str, _Entry]) -> _Entry:
    path = paths.container_record(container_id)
    now = stamp(path)
    if container_id in before and before[container_id][0] == now:
        return before[container_id]
    try:
        record = load(NamedRecord, path)
    except CorruptRecord:
        record = None
    return now, neighbour(record) if record is not None and record.complete else None


def _table(path: str) -> dict[str, _Entry]:
    """The table as it is; empty when there is none of this format."""
    try:
        with open(path, "rb") as handle:
            found = json.loads(handle.read())
        if found["format"] != _FORMAT:
            return {}
        return {key: (mark, entry and Neighbour(*entry)) for key, (mark, entry) in found["containers"].items()}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _keep(path: str, table: dict[str, _Entry]) -> None:
    """Replace it. One that cannot be written is made again the next time, and it need not survive a power cut."""
    with contextlib.suppress(OSError):
        make_private_dir(os.path.dirname(path))
        write_atomic(path, json.dumps({"format": _FORMAT, "containers": table}).encode(), durable=False)
