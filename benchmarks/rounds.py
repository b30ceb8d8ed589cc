# SPDX-License-Identifier: GPL-3.0-or-later
"""One container after the other: in each round every engine has its turn, so that a slow minute is everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from . import memory
from .contestant import Contestant
from .engine import Engine
from .samples import Samples

WATCHERS = {"podman": "conmon", "docker": "containerd-shim-runc-v2"}


def single(samples: Samples, contestants: Sequence[Contestant], rounds: int) -> None:
    """Start, exec and remove one container, `rounds` times; and what watches it while it runs."""
    for turn in range(rounds):
        for contestant in contestants:
            name = contestant.name
            with samples.timed(f"{name} run"):
                contestant.run(0)
            for size in _watching(contestant, [0]):
                samples.add(f"{name} alone", size)
            with samples.timed(f"{name} exec"):
                contestant.exec(0)
            with samples.timed(f"{name} remove"):
                contestant.remove(0)


def batch(samples: Samples, contestant: Contestant, size: int) -> None:
    """A loop each of create, start and remove, and one of both in one; a figure is one container."""
    numbers = range(size)
    loops: tuple[tuple[str, Callable[[int], None]], ...] = (
        ("create", contestant.create),
        ("start", contestant.start),
        ("remove", contestant.remove),
        ("run", contestant.run),
    )
    for verb, act in loops:
        for number in numbers:
            with samples.timed(f"{contestant.name} loop-{verb}"):
                act(number)
    for figure in _watching(contestant, list(numbers)):
        samples.add(f"{contestant.name} loop-each", figure)
    for number in numbers:
        contestant.remove(number)


def launcher(samples: Samples, engine: Engine, size: int, rounds: int) -> None:
    """The runtime's part: one start, one beside another, `size` of them at once, and what their monitors weigh then."""
    numbers = list(range(size))
    for number in numbers:
        engine.run(number)
    for turn in range(rounds):
        _stop(engine, numbers)
        with samples.timed("mini launch-one"):
            engine.launch(numbers[:1])
        with samples.timed("mini launch-next"):
            engine.launch(numbers[1:2])
        _stop(engine, numbers[:2])
        with samples.timed("mini launch-batch", share=size):
            engine.launch(numbers)
        for number in numbers:
            samples.add("mini each", memory.pss(engine.monitor(number)))
    for number in numbers:
        engine.remove(number)


def listed(samples: Samples, engine: Engine, size: int, rounds: int) -> None:
    """A list of `size` containers as one task has it; a figure is one container."""
    for verb, state in (("run", "started"), ("again", "started"), ("remove", "absent")) * rounds:
        with samples.timed(f"mini list-{verb}", share=size):
            engine.bring_all(range(size), state)


def crowd(samples: Samples, engine: Engine, count: int, size: int, rounds: int) -> None:
    """Many containers on one host: what the first and the last of them cost, in time and, when all run, in memory.

    First one after the other, as tasks start them; then, `rounds` times, all of them again, `size` by each launcher.
    """
    edges = {"first": range(size), "last": range(count - size, count)}
    named = {number: edge for edge, numbers in edges.items() for number in numbers}
    for number in range(count):
        with samples.timed(f"mini crowd-{named.get(number, 'middle')}"):
            engine.run(number)
    _weigh(samples, engine, "crowd", edges)
    for _turn in range(rounds):
        _stop(engine, range(count))
        for begin in range(0, count, size):
            with samples.timed(f"mini crowd-launch-{named.get(begin, 'middle')}", share=size):
                engine.launch(list(range(begin, begin + size)))
    _weigh(samples, engine, "crowd-launch", edges)
    for number in range(count):
        engine.remove(number)


def _weigh(samples: Samples, engine: Engine, verb: str, edges: dict[str, range]) -> None:
    for edge, numbers in edges.items():
        for size in _watching(engine, list(numbers)):
            samples.add(f"mini {verb}-each-{edge}", size)


def _stop(engine: Engine, numbers: Sequence[int]) -> None:
    for number in numbers:
        engine.stop(number)


def _watching(contestant: Contestant, numbers: Sequence[int]) -> list[float]:
    """Memory of the processes that watch these containers."""
    if isinstance(contestant, Engine):
        return [memory.pss(contestant.monitor(number)) for number in numbers]
    return [memory.pss(pid) for pid in memory.named(WATCHERS.get(contestant.name, "\0"))]
