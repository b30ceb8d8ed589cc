# SPDX-License-Identifier: GPL-3.0-or-later
"""A state root's networks and containers as their records say, without a task: at boot, and when somebody has flushed
the packet filter's rules.

Networks first: bridges, their rules, forwarding. Then the containers, in the order in which they were made: what runs
is mended, what should run by its restart policy is started. Each is tried, whatever becomes of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Callable, NamedTuple

from ...core.errors import MiniError, StepFailed
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...core.specs import ContainerSpec
from ...runtime import state
from ..containers import stopping
from ..containers.converge import converge
from ..containers.ending import is_due, is_over
from ..containers.living import live_process
from ..containers.plan import Wish
from ..containers.record import ContainerRecord, behind, every, id_of, whole
from ..containers.sharing import joined
from ..networks.converge import mend
from ..records import load, names_in

STOPPED_AT_ONCE = 64


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
    for record in in_order(paths):
        yield _attempt(f"container {record.name}", partial(_converge, paths, record))


def _read(paths: Paths, container_id: str) -> Plan:
    load(ContainerRecord, paths.container_record(container_id))
    return Plan()


def in_order(paths: Paths) -> list[ContainerRecord]:
    """Who was made first is started first, but not before those whose namespaces it joins."""
    meant = {record.id: record for record in every(paths) if _is_meant(paths, record)}
    ordered: dict[str, ContainerRecord] = {}

    def add(record: ContainerRecord, waiting: frozenset[str]) -> None:
        for name in joined(record.spec).values():
            other = meant.get(id_of(paths, name) or "")
            if other and other.id not in waiting:
                add(other, waiting | {other.id})
        ordered[record.id] = record

    for record in sorted(meant.values(), key=lambda one: (one.created, one.id)):
        add(record, frozenset({record.id}))
    return list(ordered.values())


def _is_meant(paths: Paths, record: ContainerRecord) -> bool:
    """Whether the container's name means this one. It does, too, while the one to replace it is only half made."""
    current = behind(paths.name(record.name))
    return current == record.id or whole(paths, current) is None


def _converge(paths: Paths, record: ContainerRecord) -> Plan:
    wish = Wish(ContainerSpec(record.name), _wanted(paths, record), keep_volumes=False, settles=False)
    return converge(paths, wish).plan


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

    with ThreadPoolExecutor(STOPPED_AT_ONCE) as pool:
        return list(pool.map(lambda one: _attempt(f"container {one.name}", partial(_end, paths, one)), running))


def _end(paths: Paths, record: ContainerRecord) -> Plan:
    stopping.end(paths, record, kill=False)
    return Plan.of([Step("stop", record.name, "the host goes down")])


def _attempt(what: str, work: Callable[[], Plan]) -> Result:
    try:
        return Result(what, tuple(work().describe()))
    except MiniError as exc:
        return Result(what, error=str(exc))
    except OSError as exc:
        return Result(what, error=str(StepFailed.from_os("finish", exc)))
    except Exception as exc:  # a mistake of ours must not keep the others down
        return Result(what, error=f"{type(exc).__name__}: {exc}")
