# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers from what is there to what is asked: observe, plan, apply, under the containers' locks.

There is one plan for all first, and nothing is touched when it cannot be made. Then they are brought there in waves,
those that others need before these (kinship.py), and within a wave what can be is done for all at once (joint.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, Optional

from ...core.paths import Paths
from ...core.plan import Observer, Plan, Run, Step, apply_together, silent
from ...core.specs.container import ContainerSpec
from ...linux.files import locked
from ..networks.attach import Change
from . import kinship
from .observe import Observation, Surroundings, observe
from .plan import Wish, lacking, plan
from .record import ContainerRecord, find


class Outcome(NamedTuple):
    """What was done for a container, or would be, and the container afterwards. With an `error` nothing was."""

    plan: Plan
    record: Optional[ContainerRecord]
    warnings: tuple[str, ...] = ()
    error: Optional[Exception] = None


def converge(paths: Paths, wish: Wish, *, check: bool = False, observer: Observer = silent) -> Outcome:
    """Make the host match the wish; with `check` say only what that would take."""
    (outcome,) = converge_all(paths, [wish], check=check, observer=observer)
    if outcome.error:
        raise outcome.error
    return outcome


def remove(paths: Paths, name: str) -> None:
    """Neither the container nor its anonymous volumes are there afterwards."""
    converge(paths, Wish(ContainerSpec(name), "absent", keep_volumes=False))


def converge_all(
    paths: Paths,
    wishes: Sequence[Wish],
    *,
    check: bool = False,
    observer: Observer = silent,
    each: bool = False,
    changes: Mapping[str, Change] = MappingProxyType({}),
) -> list[Outcome]:
    """Make the host match all the wishes, each of another container; an outcome for each, in their order.

    When one of them cannot be planned, nothing is done for any, unless `each` is to be tried. When one fails later, it
    alone is taken back. `changes` are of networks, by the same task.
    """
    with contextlib.ExitStack() as stack:
        cases = [_Case(replace(wish, presume=check)) for wish in wishes]
        # By name, so that no two tasks ever wait for each other.
        for case in [] if check else sorted(cases, key=lambda case: case.name):
            with case.noting():
                lock = locked(paths.lock("container", case.name), f"container {case.name}")
                case.lock = stack.enter_context(lock)
        batch = _Batch(paths, cases, observer, changes)
        batch.plan()
        if not each and any(case.error for case in cases):
            return [Outcome(Plan(), None, error=case.error) for case in cases]
        if not check and any(case.plan for case in cases):
            batch.apply()
        return [case.outcome(paths, check=check) for case in cases]


@dataclass
class _Case:
    """One of the wishes on its way. `error` is why it could not be planned, or why it was taken back."""

    wish: Wish
    lock: int = -1
    seen: Observation = Observation()
    plan: Plan = Plan()
    error: Optional[Exception] = None

    @property
    def name(self) -> str:
        return self.wish.spec.name

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """What goes wrong concerns this one alone."""
        try:
            yield
        except Exception as exc:
            self.fail(exc)

    def fail(self, exc: Exception) -> None:
        self.error, self.plan = exc, Plan()

    def outcome(self, paths: Paths, *, check: bool) -> Outcome:
        """The record as it is now; in check mode one that cannot be read is none."""
        if self.error or (check and any(step.name == "sweep" for step in self.plan)):
            return Outcome(self.plan, None, error=self.error)
        taken = [str(lack.message) for lack in lacking(self.wish, self.seen)] if check and self.plan else []
        return Outcome(self.plan, find(paths, self.name), tuple(taken))


class _Batch:
    """All of them, under their locks."""

    def __init__(self, paths: Paths, cases: Sequence[_Case], observer: Observer, changes: Mapping[str, Change]) -> None:
        self._paths = paths
        self._observer = observer
        self._coming: dict[str, kinship.Coming] = {}
        self._menders: dict[Step, _Case] = {}
        self._look(cases, changes)
        self._waves = kinship.waves([(case, case.wish, case.seen) for case in cases])

    def _look(self, cases: Sequence[_Case], changes: Mapping[str, Change] = MappingProxyType({})) -> None:
        common = Surroundings(self._paths, changes, check=any(case.wish.presume for case in cases))
        for case in cases:
            if not case.error:
                with case.noting():
                    case.seen = observe(self._paths, case.wish.spec, case.wish.contents, common)

    def plan(self) -> None:
        """The plan of each, as if those that it needs were there."""
        for case in [case for wave in self._waves for case in wave if not case.error]:
            with case.noting():
                case.seen = kinship.foresee(case.wish, case.seen, self._coming)
                self._plan(case)
                coming = kinship.Coming(case.wish, case.seen, case.plan)
                self._coming.update(dict.fromkeys(kinship.keys(case.wish, case.seen), coming))

    def _plan(self, case: _Case) -> None:
        """What networks need is in the plan of the first container that finds it."""
        steps = plan(case.wish, case.seen)
        shared = set(case.seen.network_repair)
        case.plan = Plan.of(s for s in steps if s not in shared or self._menders.setdefault(s, case) is case)

    def apply(self) -> None:
        """Wave by wave. What only a change needs is loaded only then: most runs change nothing."""
        from ..boot.install import refresh

        refresh(self._paths)
        for wave in self._waves:
            self._look_again(wave)
            self._mend_networks(wave)
            self._run([case for case in wave if case.plan])

    def _look_again(self, wave: Sequence[_Case]) -> None:
        """Where something was done to a container that this one needs, it is planned by what has become of that."""
        moved = {key: True for key, coming in self._coming.items() if coming.plan}
        stirred = [
            case
            for case in wave
            if not case.error and any(kinship.found(moved, name) for name in kinship.needed(case.wish, case.seen))
        ]
        self._look(stirred)
        for case in stirred:
            with case.noting():
                self._plan(case)

    def _mend_networks(self, wave: Sequence[_Case]) -> None:
        """Before all else, and not taken back with a container: it is what the networks' records say."""
        from ..networks.actions import actions

        for case in wave:
            steps = set(case.seen.network_repair)
            run = Run(Plan.of(step for step in case.plan if step in steps), actions(self._paths), case, self._observer)
            apply_together([run], {})
            if run.error:
                case.fail(run.error)

    def _run(self, cases: Sequence[_Case]) -> None:
        from ..runtime import front
        from .actions import Actions
        from .joint import JOINT

        runs = []
        starts = [case.lock for case in cases if any(step.name == "start" for step in case.plan)]
        with front(self._paths, starts) as called:
            for case in cases:
                own = Actions(self._paths, case.name, case.lock, case.wish.contents, called)
                done = set(case.seen.network_repair)
                steps = Plan.of(step for step in case.plan if step not in done)
                runs.append(Run(steps, own.table(), own, self._observer))
            apply_together(runs, JOINT)
        for case, run in zip(cases, runs):
            if run.error:
                case.fail(run.error)
