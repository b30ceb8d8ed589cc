# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers brought to where their tasks want them, and what of that is told: for one task, or for a list in one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from ansible.module_utils.basic import AnsibleModule

from ..core.errors import MiniError, NotFound, StepFailed
from ..core.paths import Paths
from ..core.plan import Plan
from ..engine.containers.converge import Outcome, remove
from ..engine.containers.facts import facts
from ..engine.containers.plan import Wish
from ..engine.containers.waiting import Finished, attended, wait, wait_healthy
from .container import wish
from .pull import converge_with_images
from .task import failure_result, say_presumed


class Task(NamedTuple):
    """One container's part of a task."""

    wish: Wish
    params: Mapping[str, Any]

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Task:
        """From the parameters of `mini_container`."""
        return cls(wish(params), params)

    @property
    def name(self) -> str:
        """The container's name."""
        return self.wish.spec.name

    @property
    def in_foreground(self) -> bool:
        """Whether the container's end is waited for."""
        return not self.params["detach"] and self.wish.runs


class Brought(NamedTuple):
    """What became of one task. `facts` are the container's, `end` is how it ended when that was waited for.

    With an `error` the plan is what was done nevertheless: a container that does not become healthy is there.
    """

    plan: Plan
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()
    error: Optional[Exception] = None
    end: Optional[Finished] = None


def bring(paths: Paths, tasks: Sequence[Task], *, check: bool = False) -> list[Brought]:
    """Bring all containers there, and wait until those are healthy that are to be."""
    outcomes = converge_with_images(paths, tasks, check=check)
    healthy: dict[int, StepFailed] = {}
    if not check and not any(outcome.error for outcome in outcomes):
        healthy = _not_healthy(paths, tasks, outcomes)
    return [
        Brought(outcome.plan, _facts(paths, outcome), outcome.warnings, outcome.error or healthy.get(number))
        for number, outcome in enumerate(outcomes)
    ]


def _not_healthy(paths: Paths, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> dict[int, StepFailed]:
    """The first that cannot become healthy any more ends the wait for all."""
    patience = {
        number: (outcome.record, task.wish.healthy_timeout)
        for number, (task, outcome) in enumerate(zip(tasks, outcomes))
        if task.wish.state == "healthy" and outcome.record
    }
    failed = wait_healthy(paths, list(patience.values()), to_the_end=False)
    return {number: reason for number, reason in zip(patience, failed) if reason}


def _facts(paths: Paths, outcome: Outcome) -> dict[str, Any]:
    return facts(paths, outcome.record) if outcome.record else {}


def foreground(module: AnsibleModule, paths: Paths, task: Task) -> Brought:
    """Start the container, wait for its end, and tell how it ended."""
    with attended(paths, task.name):
        (outcome,) = converge_with_images(paths, [task])
        record = outcome.record
        if record is None:
            gone = NotFound(f"container {task.name} has gone meanwhile", hint="run the task again")
            return Brought(outcome.plan, {}, error=outcome.error or gone)
        end = wait(paths, record)
        found = {**facts(paths, record), "Output": end.output}
        if task.params["output_logs"]:
            module.log(end.output)
        if task.params["cleanup"] or record.spec.auto_remove:
            remove(paths, record.name)
        return Brought(outcome.plan, found, end=end)


def told(name: str, end: Optional[Finished]) -> dict[str, Any]:
    """The keys of a task's result that say how a container ended whose end was waited for."""
    if end is None:
        return {}
    found: dict[str, Any] = {"rc": end.rc, "status": end.rc, "stdout": end.stdout, "stderr": end.stderr}
    failed = {"failed": True, "msg": f"container {name} ended with exit code {end.rc}"} if end.rc else {}
    return {**found, **failed}


def bring_in_turn(module: AnsibleModule, paths: Paths, tasks: Sequence[Task]) -> dict[str, Brought]:
    """Bring all there, by their names; one in the foreground is waited for before those after it are begun."""
    turns = _turns(tasks)
    if module.check_mode or len(turns) > 1:
        # Nothing is touched for any while one of them makes no sense.
        planned = dict(zip([task.name for task in tasks], bring(paths, tasks, check=True)))
        if module.check_mode or any(one.error for one in planned.values()):
            return planned
    found: dict[str, Brought] = {}
    for turn in turns:
        if _stopped(found):
            left = StepFailed("it was not begun, because one before it in the list has failed", step="wait")
            found.update((task.name, Brought(Plan(), {}, error=left)) for task in turn)
        elif turn[0].in_foreground:
            found[turn[0].name] = foreground(module, paths, turn[0])
        else:
            found.update(zip([task.name for task in turn], bring(paths, turn)))
    return found


def _stopped(found: Mapping[str, Brought]) -> bool:
    return any(one.error or (one.end and one.end.rc) for one in found.values())


def _turns(tasks: Sequence[Task]) -> list[list[Task]]:
    turns: list[list[Task]] = [[]]
    for task in tasks:
        if task.in_foreground:
            turns += [[task], []]
        else:
            turns[-1].append(task)
    return [turn for turn in turns if turn]


def list_result(module: AnsibleModule, brought: Mapping[str, Brought], names: Sequence[str]) -> dict[str, Any]:
    """What a task for a list returns; `names` are those in the list."""
    for one in brought.values():
        say_presumed(module, one.warnings)
    result: dict[str, Any] = {
        "changed": any(one.plan for one in brought.values()),
        "containers": [brought[name].facts for name in names],
        "actions": {name: [step.name for step in one.plan] for name, one in brought.items()},
    }
    if module._diff:
        result["diff"] = [{"prepared": _shown(name, one.plan)} for name, one in brought.items() if one.plan]
    return {**result, **_failures(brought)}


def _shown(name: str, plan: Plan) -> str:
    return "".join([f"{name}:\n", *(f"  {line}\n" for line in plan.describe())])


def _failures(brought: Mapping[str, Brought]) -> dict[str, Any]:
    """The keys of a list that did not come there whole: of the first that failed, and what became of each."""
    errors = {name: _failure(name, one) for name, one in brought.items()}
    errors = {name: error for name, error in errors.items() if error}
    if not errors:
        return {}
    first = next(iter(errors.values()))
    return {**first, "failed": True, "msg": "; ".join(_sentence(*item) for item in errors.items()), "errors": errors}


def _sentence(name: str, error: Mapping[str, Any]) -> str:
    text: str = error["msg"]
    named = re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text)
    return text if named else f"{name}: {text}"


def _failure(name: str, one: Brought) -> dict[str, Any]:
    if isinstance(one.error, MiniError):
        return failure_result(one.error)
    if one.error:
        raise one.error
    end = told(name, one.end)
    return {key: end[key] for key in ("msg", "rc", "status") if key in end} if end.get("failed") else {}
