# SPDX-License-Identifier: GPL-3.0-or-later
"""One container after the other: in each round every engine has its turn, so that a slow minute is everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from . import anatomy, memory
from .contestant import Contestant
from .engine import Engine
from .samples import Samples, part

WATCHERS = {"podman": "conmon", "docker": "containerd-shim-runc-v2"}


def single(samples: Samples, contestants: Sequence[Contestant], rounds: int) -> None:
    """Start, exec and remove one container, `rounds` times; and what watches it while it runs."""
    for turn in range(rounds):
        for contestant in contestants:
            name = contestant.name
            with anatomy.timed(samples, f"{name} run", contestant):
                contestant.run(0)
            _weigh(samples, f"{name} alone", contestant, [0])
            with samples.timed(f"{name} exec"):
                contestant.exec(0)
            with anatomy.timed(samples, f"{name} remove", contestant):
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
            with anatomy.timed(samples, f"{contestant.name} loop-{verb}", contestant):
                act(number)
    _weigh(samples, f"{contestant.name} loop-each", contestant, numbers)
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
        _weigh(samples, "mini each", engine, numbers)
    for number in numbers:
        engine.remove(number)


def listed(samples: Samples, engine: Engine, size: int, rounds: int) -> None:
    """A list of `size` containers as one task has it; a figure is one container."""
    for verb, state in (("run", "started"), ("again", "started"), ("remove", "absent")) * rounds:
        with anatomy.timed(samples, f"mini list-{verb}", engine, share=size):
            engine.bring_all(range(size), state)


def crowd(samples: Samples, engine: Engine, count: int, size: int, rounds: int) -> None:
    """Many containers on one host: what the first and the last of them cost, in time and, when all run, in memory.

    First one after the other, as tasks start them; then, `rounds` times, all of them again, `size` by each launcher.
    """
    edges = {"first": range(size), "last": range(count - size, count)}
    named = {number: edge for edge, numbers in edges.items() for number in numbers}
    for number in range(count):
        with anatomy.timed(samples, f"mini crowd-{named.get(number, 'middle')}", engine):
            engine.run(number)
    for edge, some in edges.items():
        _weigh(samples, f"mini crowd-each-{edge}", engine, some)
    for _turn in range(rounds):
        _stop(engine, range(count))
        for begin in range(0, count, size):
            with samples.timed(f"mini crowd-launch-{named.get(begin, 'middle')}", share=size):
                engine.launch(list(range(begin, begin + size)))
    for edge, some in edges.items():
        _weigh(samples, f"mini crowd-launch-each-{edge}", engine, some)
    for number in range(count):
        engine.remove(number)


def _weigh(samples: Samples, key: str, contestant: Contestant, numbers: Sequence[int]) -> None:
    """Memory of each process that watches these containers; of our own also what it is made of."""
    ours = isinstance(contestant, Engine)
    for pid in _watching(contestant, numbers):
        samples.add(key, memory.pss(pid))
        for name, size in memory.kinds(pid).items() if ours else ():
            samples.add(part(key, name), size)


def _stop(engine: Engine, numbers: Sequence[int]) -> None:
    for number in numbers:
        engine.stop(number)


def _watching(contestant: Contestant, numbers: Sequence[int]) -> list[int]:
    """The processes that watch these containers."""
    if isinstance(contestant, Engine):
        return [contestant.monitor(number) for number in numbers]
    return memory.named(WATCHERS.get(contestant.name, "\0"))
