# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a container: until it has ended, or until it is healthy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

from ...core.errors import NotFound, StepFailed
from ...core.paths import Paths
from ...linux.files import locked
from ...runtime import state
from ...runtime.health import HEALTHY
from . import logs
from .living import live_process, restarting, settled
from .record import ContainerRecord

SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Finished(NamedTuple):
    """How a container ended whose end was waited for."""

    rc: int
    stdout: str
    stderr: str
    output: str  # both, as they came


@contextlib.contextmanager
def attended(paths: Paths, name: str) -> Iterator[None]:
    """Keep a container that ends from being removed: there is somebody who still wants to read what it wrote."""
    with locked(paths.lock("attended", name), f"the output of container {name}"):
        yield


def wait(paths: Paths, record: ContainerRecord) -> Finished:
    """Wait until the container has ended, however long it takes: its exit code and this run's output."""
    path = paths.run_state(record.id)
    found = state.read(path)
    if not found:
        raise NotFound(f"container {record.name} does not run")
    for key in ("init", "monitor"):
        process = state.process(found, key)
        if process is not None:
            process.wait(None)
    ended = state.read(path)
    if ended.get("exit_code") is None:
        raise StepFailed(f"the exit code of {record.name} is unknown: its monitor was killed", step="wait")
    entries = list(logs.entries(paths, record.id, since=str(found.get("started_at", ""))))
    texts = (logs.output(entries, *streams) for streams in (("stdout",), ("stderr",), ("stdout", "stderr")))
    return Finished(ended["exit_code"], *texts)


Patience = tuple[ContainerRecord, float]
"""A container, and for how many seconds it is waited for; for ever when they are not more than 0."""


def wait_healthy(paths: Paths, patience: Sequence[Patience], *, to_the_end: bool = True) -> list[Optional[StepFailed]]:
    """Wait until the containers are healthy; for each None or why it is not: it ended first, or the time is over.

    What the last probe said is told. Unless it is `to_the_end`, the first failure is the end of the waiting, and those
    that are not healthy by then count as None, too: nothing is known against them.
    """
    begun = time.monotonic()
    pause = SHORTEST_PAUSE
    failed: dict[int, StepFailed] = {}
    waiting = dict(enumerate(patience))
    while waiting and (to_the_end or not failed):
        for number, (record, timeout) in list(waiting.items()):
            over = 0 < timeout <= time.monotonic() - begun
            try:
                healthy = _is_healthy(paths, record, timeout if over else 0)
            except StepFailed as exc:
                failed[number] = exc
                healthy = False
            if healthy or number in failed:
                del waiting[number]
        if waiting:
            time.sleep(pause)
            pause = min(pause * 1.1, LONGEST_PAUSE)
    return [failed.get(number) for number in range(len(patience))]


def _is_healthy(paths: Paths, record: ContainerRecord, waited: float) -> bool:
    """Whether it is. `StepFailed` when it will not be any more, or was `waited` for in vain."""
    found = settled(paths.run_state(record.id))
    known = found.get("health") or {}
    if live_process(found) is None and not restarting(found):
        code = found.get("exit_code")
        ended = f"it ended with exit code {code}" if code is not None else "it has ended"
        raise StepFailed(f"{record.name} did not become healthy: {ended}{_last(known)}", step="wait-healthy")
    healthy: bool = known.get("status") == HEALTHY
    if waited and not healthy:
        status = known.get("status", "not checked")
        text = f"{record.name} did not become healthy in {waited:g} s: it is {status}{_last(known)}"
        raise StepFailed(text, step="wait-healthy")
    return healthy


def _last(known: dict[str, Any]) -> str:
    if not known.get("log"):
        return ""
    last = known["log"][-1]
    said = " ".join(last["output"].split())
    return f"; the last probe ended with {last['exit_code']}" + (f": {said[:400]}" if said else "")
