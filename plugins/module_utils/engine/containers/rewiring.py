# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks joined, left and changed: what that takes of a container that may be running. Pure.

The networks wanted are compared with the places that the container really has, not with those of its last task, so
that a change cut short in its middle is finished by the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Optional

from ...core.plan import Step
from ...core.specs.container import ContainerSpec
from ...core.specs.network import Attachment
from ..networks.attach import Plug
from .record import ContainerRecord, Endpoint


class Route(NamedTuple):
    """How a network's default routes are preferred, the lower metric wins (ip-route(8)), and what its interface is."""

    metric: int
    mac_address: str
    interface: str = ""
    sysctls: Mapping[str, str] = MappingProxyType({})


def routes(networks: Sequence[Attachment]) -> dict[str, Route]:
    """By `gw_priority`, the highest first, and where that is equal in the task's order."""
    ranked = sorted(networks, key=lambda entry: -entry.gw_priority)
    return {
        entry.name: Route(metric, entry.mac_address, entry.interface, entry.sysctls)
        for metric, entry in enumerate(ranked)
    }


def plug(endpoint: Endpoint, route: Optional[Route]) -> Plug:
    """How the place in a network looks inside; without a route, of a network that is not asked for any more."""
    return Plug(endpoint.ips, endpoint.index, *(route or ()))


def changed(record: ContainerRecord, wanted: ContainerSpec, misplaced: Mapping[str, str]) -> dict[str, str]:
    """The networks whose cable cannot stay as it is, and why; those that are left among them.

    `misplaced` are those in which its addresses are not right any more, because the network has changed.
    """
    before, after = routes(record.spec.networks), routes(wanted.networks)
    found = {name: "no longer asked for" for name in record.networks if name not in after}
    for entry in wanted.networks:
        endpoint = record.networks.get(entry.name)
        if endpoint is None:
            found[entry.name] = "asked for now"
        elif not endpoint.fits(entry):
            asked = [ip for ip in (entry.ipv4_address, entry.ipv6_address) if ip]
            found[entry.name] = f"{', '.join(endpoint.ips)} → {', '.join(asked)}"
        elif entry.name in misplaced:
            found[entry.name] = misplaced[entry.name]
        elif before.get(entry.name) != after[entry.name]:
            found[entry.name] = _other_route(before.get(entry.name), after[entry.name])
    return found


def _other_route(before: Optional[Route], after: Route) -> str:
    if before and before.mac_address != after.mac_address:
        return f"mac_address: {before.mac_address or 'its own'} → {after.mac_address or 'its own'}"
    if before and before.interface != after.interface:
        return f"interface: {before.interface or 'eth'} → {after.interface or 'eth'}"
    if before and before.sysctls != after.sysctls:
        return "its sysctls change"
    return "its default route gets another rank"


def steps(record: ContainerRecord, wanted: ContainerSpec, misplaced: Mapping[str, str], *, running: bool) -> list[Step]:
    """New addresses first: when one cannot be had, nothing has been touched yet."""
    reasons = changed(record, wanted, misplaced)
    kept = {entry.name: entry for entry in wanted.networks}
    name = wanted.name
    found = []
    for network, reason in reasons.items():
        endpoint = record.networks.get(network)
        if network in kept and (endpoint is None or network in misplaced or not endpoint.fits(kept[network])):
            detail: dict[str, Any] = {"spec": wanted, "before": endpoint}
            found.append(Step("lease-address", network, f"for {name}: {reason}", detail=detail))
    for network, reason in reasons.items():
        if network in record.networks and (running or network not in kept):
            detail = {"leave": network not in kept, "before": record.networks[network], "running": running}
            found.append(Step("disconnect", network, f"{name}: {reason}", detail=detail))
    if running:
        there = [network for network in reasons if network in kept]
        found += [
            Step("connect", network, f"for {name}: {reasons[network]}", detail={"spec": wanted}) for network in there
        ]
    return found
