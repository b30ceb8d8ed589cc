# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be done, as a value: `Plan` is a list of `Step`s, and `apply` is the only thing that runs them.

A planner is a pure function from (specification, observation) to a Plan. Check mode stops there; `--diff` is the
plan rendered; `changed` is true exactly when the plan is not empty.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable, Generic, Optional, TypeVar

from .errors import MiniError, StepFailed


class Impact(str, enum.Enum):
    """What a step costs whoever uses the object now."""

    LIVE = "live"
    RESTART = "restart"
    RECREATE = "recreate"


@dataclass(frozen=True)
class Step:
    """One change: its name, the object it touches, the reason, and what the action needs to know."""

    name: str
    target: str
    reason: str = ""
    impact: Impact = Impact.LIVE
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def describe(self) -> str:
        """One line for a person."""
        because = f": {self.reason}" if self.reason else ""
        cost = "" if self.impact is Impact.LIVE else f" ({self.impact.value})"
        return f"{self.name} {self.target}{because}{cost}"


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which they are run."""

    steps: tuple[Step, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __add__(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps)

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Plan:
        return cls(tuple(steps))

    def describe(self) -> list[str]:
        """One line a step."""
        return [step.describe() for step in self.steps]

    @property
    def impact(self) -> Impact:
        """The heaviest impact of all steps."""
        order = list(Impact)
        return max((step.impact for step in self.steps), key=order.index, default=Impact.LIVE)


@dataclass(frozen=True)
class Action:
    """How a step of some name is done, and how it is taken back when a later one fails."""

    do: Callable[[Step], Any]
    undo: Optional[Callable[[Step], Any]] = None


Observer = Callable[[str, Step], None]
"""Told `("begin", step)` and `("done", step)`; what it raises counts as the step's failure."""


def silent(event: str, step: Step) -> None:
    """The observer of a caller that does not want to know."""


def apply(plan: Plan, actions: Mapping[str, Action], observer: Observer = silent) -> None:
    """Run the steps in order. When one fails, take back it and those before it, last first, and raise its error.

    An undo therefore meets its step done, half done or not begun. Errors while taking back are appended to the
    message: the first error is what the user must hear about.
    """
    run = Run(plan, actions, None, observer)
    apply_together([run], {})
    if run.error:
        raise run.error


Owner = TypeVar("Owner")
Joint = Callable[[Sequence[tuple[Owner, Step]]], Sequence[Optional[Exception]]]
"""Does one step of each of several plans; for each None, or why it failed."""


class Run(Generic[Owner]):
    """A plan on its way: the step it is at, and what has been begun and can be taken back. `owner` is whose plan it is.

    With `error` it has come to its end early, and nothing of it is left.
    """

    def __init__(self, plan: Plan, actions: Mapping[str, Action], owner: Owner, observer: Observer = silent) -> None:
        self.owner = owner
        self.error: Optional[Exception] = None
        self._actions = actions
        self._observer = observer
        self._left = list(reversed(plan.steps))
        self._begun: list[Step] = []

    @property
    def at(self) -> Optional[Step]:
        """The step that comes next; None at the end."""
        return self._left[-1] if self._left else None

    def advance(self, until: Container[str]) -> None:
        """Do the steps up to the first whose name is in `until`."""
        while self._left and self._left[-1].name not in until:
            step = self.begin()
            if step and self._try(self._actions[step.name].do, step):
                self.finish()

    def begin(self) -> Optional[Step]:
        """Take up the next step, unless the observer speaks against it."""
        step = self._left.pop()
        self._begun.append(step)
        return step if self._try(self._observer, "begin", step) else None

    def finish(self, failed: Optional[Exception] = None) -> None:
        """What was begun last is done, or has failed. What is done to its end stays."""
        if failed is not None:
            self._fail(failed)
        elif self._try(self._observer, "done", self._begun[-1]) and not self._left:
            self._begun.clear()

    def abandon(self) -> list[str]:
        """Take back what has been begun; what could not be is returned."""
        begun, self._begun, self._left = self._begun, [], []
        return _take_back(reversed(begun), self._actions)

    def _try(self, work: Callable[..., Any], *arguments: Any) -> bool:
        try:
            work(*arguments)
        except Exception as exc:
            self._fail(exc)
            return False
        return True

    def _fail(self, exc: Exception) -> None:
        step = self._begun[-1]
        self.error = _explain(exc, step, self.abandon())


def apply_together(runs: Sequence[Run[Owner]], joint: Mapping[str, Joint[Owner]]) -> None:
    """Run several plans, each by itself but for the steps in `joint`: those are done at once for all that come to one.

    The order of `joint` says what goes first when plans have come to different ones. A plan that fails is taken back
    and has an `error`, and the others go on. An interrupt takes back all that are not at their end.
    """
    try:
        while True:
            for run in runs:
                run.advance(joint)
            names = {run.at.name for run in runs if run.at is not None}
            first = next((name for name in joint if name in names), None)
            if first is None:
                return
            _do_jointly(joint[first], [run for run in runs if run.at is not None and run.at.name == first])
    except BaseException:
        for run in reversed(runs):
            run.abandon()
        raise


def _do_jointly(work: Joint[Owner], runs: Sequence[Run[Owner]]) -> None:
    begun = [(run, step) for run, step in ((run, run.begin()) for run in runs) if step is not None]
    results: Sequence[Optional[Exception]]
    try:
        results = work([(run.owner, step) for run, step in begun]) if begun else ()
    except Exception as exc:
        results = [copy.copy(exc) for _run in begun]
    for (run, _step), failed in zip(begun, results):
        run.finish(failed)


def _take_back(steps: Iterable[Step], actions: Mapping[str, Action]) -> list[str]:
    problems: list[str] = []
    for step in steps:
        undo = actions[step.name].undo
        if undo is None:
            continue
        try:
            undo(step)
        except (MiniError, OSError) as exc:
            problems.append(f"{step.describe()} could not be taken back: {exc}")
    return problems


def _explain(exc: Exception, step: Step, problems: list[str]) -> Exception:
    if isinstance(exc, OSError):
        cause, exc = exc, StepFailed.from_os(f"{step.name} {step.target}", exc, step=step.name)
        exc.__cause__ = cause
    if isinstance(exc, MiniError):
        exc.step = exc.step or step.name
        exc.message = "; ".join([exc.message, *problems])
    return exc
