# SPDX-License-Identifier: GPL-3.0-or-later
"""What the containers of a network are called that are on its other hosts.

They are in a file of their own, because only hosts files need them, and a network's record is read by every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...network.hosts import Far, Names
from ..records import load, save


@dataclass(frozen=True)
class FarNames:
    """By host: the addresses of its containers by their names."""

    hosts: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)


def far_names(paths: Paths, network: str) -> Far:
    """As they were told; nothing where they cannot be read, so that they are told again."""
    try:
        found = load(FarNames, paths.far_names(network))
    except CorruptRecord:
        found = None
    return found.hosts if found else {}


def keep(paths: Paths, network: str, names: Far) -> None:
    """Replace what was known."""
    hosts = {host: {name: tuple(found) for name, found in table.items()} for host, table in names.items()}
    save(FarNames(hosts), paths.far_names(network))


def entries(paths: Paths, network: str) -> Iterator[Names]:
    """An address and its names each, as hosts files have them. The name of the host makes those plain that are there
    on several."""
    for host, table in far_names(paths, network).items():
        for name, addresses in table.items():
            yield from ((address, [name, f"{name}.{host}"]) for address in addresses)
