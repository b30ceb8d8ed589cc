# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as the task that changes them leaves them behind, whether it has done so already or is in check mode."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Optional

from ...core.paths import Paths
from .record import NetworkRecord, find, load


@dataclass(frozen=True)
class Change:
    """What a task makes of a network: its new record, None when it goes. `hit` are the ids of the containers that lose
    their addresses; `restored` says that all rules of the packet filter are put back, those of containers as well."""

    record: Optional[NetworkRecord] = None
    hit: frozenset[str] = frozenset()
    restored: bool = False


class Networks:
    """The networks of one task, each read once; `changes` are those that it changes itself."""

    def __init__(self, paths: Paths, changes: Mapping[str, Change] = MappingProxyType({})) -> None:
        self._paths = paths
        self._changes = changes
        self._records: dict[str, Optional[NetworkRecord]] = {name: change.record for name, change in changes.items()}

    def find(self, name: str) -> Optional[NetworkRecord]:
        """The network's record; None when there is none."""
        if name not in self._records:
            self._records[name] = find(self._paths, name)
        return self._records[name]

    def load(self, name: str) -> NetworkRecord:
        """The record of a network that must exist."""
        return self.find(name) or load(self._paths, name)

    def known(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are networks."""
        return [name for name in names if self.find(name)]

    def at_rest(self, names: Iterable[str]) -> list[str]:
        """Those of the networks that the task does not change itself."""
        return [name for name in names if name not in self._changes]

    def hit(self, name: str) -> Collection[str]:
        """Who has no address there any more."""
        return self._changes[name].hit if name in self._changes else ()

    @property
    def restored(self) -> bool:
        """Whether the rules of all containers are there again."""
        return any(change.restored for change in self._changes.values())
