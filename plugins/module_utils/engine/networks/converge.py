# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan and apply for one network, under its locks; and what a task is told of it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, Optional

from ...core.paths import Paths
from ...core.plan import Observer, Plan, apply, silent
from ...core.specs.network import NetworkSpec
from ...linux.files import locked
from .actions import actions, new_record
from .attach import repair_plan
from .describe import describe
from .foresight import Change
from .hearsay import Heard, sift
from .observe import observe
from .plan import plan_absent, plan_present, resolve
from .record import NetworkRecord, load


class Outcome(NamedTuple):
    """The plan, run or not, the network as it is afterwards (in check mode: as it would be), who was in it, what that
    means for them, and what could not be believed of what other hosts say."""

    plan: Plan
    network: Optional[dict[str, Any]]
    members: tuple[str, ...] = ()
    change: Change = Change()
    doubts: tuple[str, ...] = ()


def ensure(
    paths: Paths,
    wanted: NetworkSpec,
    given: Collection[str],
    *,
    names: Optional[Mapping[str, Any]] = None,
    firewall: str = "",
    force: bool = False,
    check: bool = False,
    observer: Observer = silent,
) -> Outcome:
    """The network exists and is as asked. `names` are those of containers on other hosts, if the task has any;
    `firewall` is the driver for all networks, empty for the one in use."""
    with _locks(paths, wanted.name, check):
        seen = observe(paths, wanted.name, wanted, firewall)
        spec = resolve(wanted, given, seen)
        heard = sift(spec.vxlan, names) if spec.vxlan and names is not None else Heard({}, ())
        plan = plan_present(wanted, given, seen, names=heard.names, force=force)
        if not check:
            apply(plan, actions(paths), observer)
    record = new_record(seen, spec) if check or not plan else load(paths, wanted.name)
    return Outcome(plan, describe(paths, record), tuple(seen.members), _change(plan, record), heard.doubts)


def _change(plan: Plan, record: NetworkRecord) -> Change:
    hit = frozenset(step.detail["container_id"] for step in plan if step.name == "disconnect-container")
    return Change(record, hit, restores(plan))


def restores(plan: Plan) -> bool:
    """Whether all rules of the packet filter are put back."""
    return any(step.name == "restore-rules" for step in plan)


def remove(
    paths: Paths,
    name: str,
    *,
    force: bool = False,
    leaving: Collection[str] = (),
    restored: bool = False,
    check: bool = False,
    observer: Observer = silent,
) -> Outcome:
    """Nothing is left of the network. `leaving` are the ids of containers that are not in it any more by then; with
    `restored` all rules of the packet filter are there again."""
    with _locks(paths, name, check):
        plan = plan_absent(observe(paths, name), force=force, leaving=leaving, restored=restored)
        if not check:
            apply(plan, actions(paths), observer)
    return Outcome(plan, None)


def mend(paths: Paths, name: str, *, observer: Observer = silent) -> Plan:
    """The network is as its record says."""
    with _locks(paths, name, check=False):
        plan = repair_plan(paths, load(paths, name))
        apply(plan, actions(paths), observer)
    return plan


@contextlib.contextmanager
def _locks(paths: Paths, name: str, check: bool) -> Iterator[None]:
    """All networks, because subnets are chosen among them; and this one, against leases. Check mode writes nothing, not
    even a lock."""
    if check:
        yield
        return
    every, this = paths.lock("host", "networks"), paths.lock("network", name)
    with locked(every, "the list of networks"), locked(this, f"the network {name}"):
        yield
