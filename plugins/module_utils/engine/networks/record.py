# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a network between tasks, and how it is told to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ...core.errors import CorruptRecord, NotFound
from ...core.names import check_name, interface_name
from ...core.paths import DEFAULT_STATE_ROOT, Paths
from ...core.specs import NetworkSpec
from ..records import load as load_record
from ..records import names_in


@dataclass(frozen=True)
class NetworkRecord:
    """A network: `spec` has its subnet and gateway filled in."""

    id: str
    spec: NetworkSpec
    bridge: str
    created: str

    @property
    def name(self) -> str:
        return self.spec.name


def find(paths: Paths, name: str) -> Optional[NetworkRecord]:
    """The record of a network, or None."""
    return load_record(NetworkRecord, paths.network_record(check_name("network", name)))


def load(paths: Paths, name: str) -> NetworkRecord:
    """The record of a network that must exist."""
    record = find(paths, name)
    if record is None:
        raise NotFound(f"the network {name!r} does not exist", hint="create it with mini_network first")
    return record


def every(paths: Paths) -> Iterator[NetworkRecord]:
    """All readable records."""
    for name in names_in(paths.networks):
        try:
            record = load_record(NetworkRecord, paths.network_record(name))
        except CorruptRecord:
            continue
        if record is not None:
            yield record


def bridge_name(paths: Paths, name: str) -> str:
    """The interface name of a network's bridge; two state roots on one host do not meet."""
    return interface_name("mini-", name if paths.state_root == DEFAULT_STATE_ROOT else f"{paths.state_root}:{name}")


def bridge_alias(paths: Paths, name: str) -> str:
    """The mark that says whose the bridge is (IFALIASZ is 256)."""
    root = "" if paths.state_root == DEFAULT_STATE_ROOT else f"@{paths.state_root}"
    return f"mini:{name}{root}"[:255]
