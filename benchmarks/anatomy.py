# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time goes: a create and start by the steps of its plan, and what a launcher has in it."""

from __future__ import annotations

import subprocess
import sys
import time

from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime

from .engine import Engine
from .rows import Group, Row
from .samples import Samples

_STEP, _ALONE = "step ", "launcher "


class _Watch:
    """Times a plan's steps for `apply`, and what is before the first and behind the last."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._since = time.perf_counter()

    def lap(self, key: str) -> None:
        """What took the time since the lap before."""
        now = time.perf_counter()
        self._samples.add(_STEP + key, (now - self._since) * 1000)
        self._since = now

    def __call__(self, event: str, step: Step) -> None:
        self.lap(step.name if event == "done" else "between steps")


def measure(samples: Samples, engine: Engine, rounds: int) -> None:
    """Take `rounds` starts apart."""
    for _turn in range(rounds):
        watch = _Watch(samples)
        engine.run(0, watch)
        watch.lap("look afterwards")
        engine.remove(0)
        with samples.timed(f"{_ALONE}interpreter"):
            subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        with samples.timed(f"{_ALONE}idle"):
            runtime.start(engine.paths, [])


def group(samples: Samples) -> Group:
    """The rows, as far as they were measured; a step of less than half a millisecond is none."""
    steps = [key for key in samples.figures if key.startswith(_STEP) and (samples.median(key) or 0) >= 0.5]
    rows = [Row(key, f"  {key[len(_STEP) :]}") for key in steps]
    common = (
        Row(f"{_ALONE}interpreter", "an interpreter that does nothing"),
        Row(f"{_ALONE}idle", "our launcher that starts nothing"),
    )
    return Group(
        "where the time goes: a create and start of the only container by its steps; its launcher", (*rows, *common)
    )
