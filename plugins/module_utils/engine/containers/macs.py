# SPDX-License-Identifier: GPL-3.0-or-later
"""MAC addresses that tasks give: no two containers of a network have the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...core.specs.container import ContainerSpec
from ...core.specs.network import Attachment
from ..networks.attach import mac_taken

Place = tuple[str, str]
"""A network, and a MAC address in it."""


def places(networks: Iterable[Attachment]) -> list[Place]:
    """Where a container asks for an address of its own."""
    return [(entry.name, entry.mac_address) for entry in networks if entry.mac_address]


def refuse(spec: ContainerSpec, holders: Mapping[Place, str]) -> None:
    """`Conflict` names the container that has an address which this one asks for."""
    for place in places(spec.networks):
        if place in holders:
            raise mac_taken(spec.name, *place, holders[place])
