# SPDX-License-Identifier: GPL-3.0-or-later
"""`connected` of a network, and what becomes of its containers when the network has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.paths import Paths
from ..core.plan import Plan
from ..engine.networks.converge import Outcome, remove, restores
from ..engine.networks.describe import describe
from ..engine.networks.leases import members
from ..engine.networks.record import find

MEMBER_OPTIONS: dict[str, Any] = {
    "connected": {"type": "list", "elements": "str", "aliases": ["containers"]},
    "appends": {"type": "bool", "default": False, "aliases": ["incremental"]},
}
REWIRING = frozenset({"write-network", "sort-leases", "create-bridge", "configure-bridge", "set-gateway"})
"""Steps after which containers may need other addresses, routes or cables."""


def check_members(paths: Paths, params: Mapping[str, Any], *, check: bool) -> None:
    """A container that does not exist is said before anything is done."""
    if params["connected"] and not check:
        from ..engine.containers.membership import check_names

        check_names(paths, params["connected"])


def bring_members(paths: Paths, name: str, params: Mapping[str, Any], outcome: Outcome, *, check: bool) -> Outcome:
    """The outcome for the network, and for the containers in it. Most tasks have nothing to do here, and load none of
    it."""
    affected = outcome.members if any(step.name in REWIRING for step in outcome.plan) else ()
    if not affected and params["connected"] is None:
        return outcome
    from ..engine.containers import membership

    change, connected = outcome.change, params["connected"]
    plan = membership.connect_again(paths, name, affected, change, check=check) if affected else Plan()
    if connected is not None:
        plan += membership.bring(paths, name, connected, appends=params["appends"], change=change, check=check)
    record = find(paths, name) if plan and not check else None
    return outcome._replace(plan=outcome.plan + plan, network=describe(paths, record) if record else outcome.network)


def remove_with_members(paths: Paths, name: str, *, force: bool, check: bool) -> Outcome:
    """Remove the network; with `force` who is in it leaves it first."""
    left = Plan()
    ids: list[str] = []
    if force and members(paths, name):
        from ..engine.containers import membership

        left, ids = membership.leave(paths, name, check=check)
    outcome = remove(paths, name, force=force, leaving=ids, restored=restores(left), check=check)
    return outcome._replace(plan=left + outcome.plan)
