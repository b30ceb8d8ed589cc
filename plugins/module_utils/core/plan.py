# SPDX-License-Identifier: GPL-3.0-or-later
"""What will be done, as a value: `Plan` is a list of `Step`s, and `apply` is the only thing that runs them.

A planner is a pure function from (specification, observation) to a Plan. Check mode stops there; `--diff` is the
plan rendered; `changed` is true exactly when the plan is not empty.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

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
    started: list[Step] = []
    for step in plan:
        started.append(step)
        try:
            observer("begin", step)
            actions[step.name].do(step)
            observer("done", step)
        except BaseException as exc:
            problems = _take_back(reversed(started), actions)
            raise _explain(exc, step, problems) from exc


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


def _explain(exc: BaseException, step: Step, problems: list[str]) -> BaseException:
    if isinstance(exc, OSError):
        exc = StepFailed.from_os(f"{step.name} {step.target}", exc, step=step.name)
    if isinstance(exc, MiniError):
        exc.step = exc.step or step.name
        exc.message = "; ".join([exc.message, *problems])
    return exc
