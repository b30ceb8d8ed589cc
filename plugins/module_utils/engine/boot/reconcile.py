# SPDX-License-Identifier: GPL-3.0-or-later
"""A state root's networks and containers as their records say, without a task: at boot, and when somebody has flushed
the packet filter's rules.

Networks first: bridges, their rules, forwarding. Then the containers, in the order in which they were made, some dozens
at once: what runs is mended, what should run by its restart policy is started. Each is tried, whatever becomes of the
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Callable, NamedTuple, Optional

from ...core.errors import MiniError, StepFailed
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...core.specs.container import ContainerSpec
from ...runtime import state
from ..containers import kinship, stopping
from ..containers.converge import Outcome, converge_all
from ..containers.ending import is_due, is_over
from ..containers.joint import AT_ONCE, at_once
from ..containers.living import live_process
from ..containers.observe import Observation
from ..containers.plan import Wish
from ..containers.record import ContainerRecord, behind, every, whole
from ..networks.converge import mend
from ..records import load, names_in


class Result(NamedTuple):
    """What was done to one object, a line for each step, or why it could not be done."""

    what: str
    done: tuple[str, ...] = ()
    error: str = ""


def reconcile(paths: Paths) -> Iterator[Result]:
    """Bring up what should be up."""
    for name in names_in(paths.networks):
        yield _attempt(f"network {name}", partial(mend, paths, name))
    for container_id in names_in(paths.containers):
        unread = _attempt(f"container {container_id[:12]}", partial(_read, paths, container_id))
        if unread.error:
            yield unread
    meant = in_order([record for record in every(paths) if _is_meant(paths, record)])
    for some in (meant[begin : begin + AT_ONCE] for begin in range(0, len(meant), AT_ONCE)):
        yield from _converge(paths, some)


def _read(paths: Paths, container_id: str) -> Plan:
    load(ContainerRecord, paths.container_record(container_id))
    return Plan()


def in_order(records: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    """Who was made first is started first, but not before those that it needs."""
    first = sorted(records, key=lambda one: (one.created, one.id))
    every_wave = kinship.waves([(one, Wish(one.spec), Observation(record=one)) for one in first])
    return [one for wave in every_wave for one in wave]


def _is_meant(paths: Paths, record: ContainerRecord) -> bool:
    """Whether the container's name means this one. It does, too, while the one to replace it is only half made."""
    current = behind(paths.name(record.name))
    return current == record.id or whole(paths, current) is None


def _converge(paths: Paths, records: Sequence[ContainerRecord]) -> Iterator[Result]:
    """All by one launcher, each tried whatever becomes of the others."""
    wishes = [
        Wish(ContainerSpec(record.name), _wanted(paths, record), keep_volumes=False, settles=False)
        for record in records
    ]
    for record, outcome in zip(records, converge_all(paths, wishes, each=True)):
        yield _told(f"container {record.name}", outcome)


def _wanted(paths: Paths, record: ContainerRecord) -> str:
    """What has ended, and was to leave nothing then, goes now."""
    if is_due(paths, record):
        return "started"
    return "absent" if record.spec.auto_remove and is_over(paths, record) else "present"


def shut_down(paths: Paths) -> list[Result]:
    """Stop what runs, all at once, each with its own signal and patience: the host goes down.

    It is not a stop by hand, so the restart policies bring it back.
    """
    running = [record for record in every(paths) if live_process(state.read(paths.run_state(record.id)))]
    failures = at_once([partial(stopping.end, paths, record, kill=False) for record in running])
    return [_stopped(record, failed) for record, failed in zip(running, failures)]


def _stopped(record: ContainerRecord, failed: Optional[Exception]) -> Result:
    stop = Plan.of([Step("stop", record.name, "the host goes down")])
    return _told(f"container {record.name}", Outcome(stop, record, error=failed))


def _attempt(what: str, work: Callable[[], Plan]) -> Result:
    try:
        return _told(what, Outcome(work(), None))
    except Exception as exc:
        return _told(what, Outcome(Plan(), None, error=exc))


def _told(what: str, outcome: Outcome) -> Result:
    """A mistake of ours must not keep the others down: whatever went wrong is told in a line."""
    exc = outcome.error
    if isinstance(exc, OSError):
        exc = StepFailed.from_os("finish", exc)
    if exc is None or isinstance(exc, MiniError):
        return Result(what, tuple(outcome.plan.describe()), str(exc or ""))
    return Result(what, error=f"{type(exc).__name__}: {exc}")
