# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time goes: what a plan does by its steps, a command in a container by its profile, and what a launcher has
in it. The parts of a figure are figures themselves, under its key and their names."""

from __future__ import annotations

import contextlib
import cProfile
import pstats
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Callable

from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step, silent
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime

from .contestant import Contestant
from .engine import Engine
from .rows import Group, Row
from .samples import Samples, part

_RUN, _ALONE = "mini run", "launcher "
_LEAST = 0.5  # milliseconds; a step that takes less is none


class _Watch:
    """Times a plan's steps for `apply`, and what is before the first and behind the last."""

    def __init__(self) -> None:
        self.found: dict[str, float] = defaultdict(float)
        self._since = time.perf_counter()
        self._begun = False

    def lap(self, name: str) -> None:
        """What took the time since the lap before."""
        now = time.perf_counter()
        self.found[name] += (now - self._since) * 1000
        self._since = now

    def __call__(self, event: str, step: Step) -> None:
        if event == "done":
            self.lap(step.name)
        else:
            self.lap("between steps" if self._begun else "look and plan")
            self._begun = True


@contextlib.contextmanager
def timed(samples: Samples, key: str, contestant: Contestant, share: int = 1) -> Iterator[None]:
    """Time the block as `Samples.timed` does; of our own engine the steps of the plan as well."""
    if not isinstance(contestant, Engine):
        with samples.timed(key, share):
            yield
        return
    watch = contestant.observer = _Watch()
    try:
        with samples.timed(key, share):
            yield
        watch.lap("look afterwards")
    finally:
        contestant.observer = silent
    for name, spent in watch.found.items():
        samples.add(part(key, name), spent / share)


def measure(samples: Samples, engine: Engine, rounds: int) -> None:
    """What has no steps, `rounds` times."""
    engine.run(0)
    for _turn in range(rounds):
        _profile(samples, f"{engine.name} exec", lambda: engine.exec(0))
    engine.remove(0)
    for _turn in range(rounds):
        with samples.timed(f"{_ALONE}interpreter"):
            subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        with samples.timed(f"{_ALONE}idle"):
            runtime.start(engine.paths, [])


def _profile(samples: Samples, key: str, work: Callable[[], None]) -> None:
    """By functions, each without those that it calls. To wait for another process is one of them, `poll`."""
    profile = cProfile.Profile()
    profile.runcall(work)
    for (_file, _line, name), (_calls, _all, own, *_rest) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        samples.add(part(key, name), own * 1000)


def group(samples: Samples) -> Group:
    """The rows, as far as they were measured."""
    steps = [(name, spent) for name, spent in samples.parts(_RUN).items() if spent >= _LEAST]
    rows = [Row(part(_RUN, name), f"  {name}") for name, _spent in steps]
    common = (
        Row(f"{_ALONE}interpreter", "an interpreter that does nothing"),
        Row(f"{_ALONE}idle", "our launcher that starts nothing"),
    )
    return Group(
        "where the time goes: a create and start of the only container by its steps; its launcher", (*rows, *common)
    )
