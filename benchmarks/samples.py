# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: a list of figures for each key, or the reason why there is none."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_OF = ": "


def part(key: str, name: str) -> str:
    """The key of what is a part of another figure."""
    return key + _OF + name


@dataclass
class Samples:
    """Figures by key: milliseconds, or megabytes for memory. `absent` says why a key, or all below it, has none."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        """One more figure."""
        self.figures.setdefault(key, []).append(value)

    @contextlib.contextmanager
    def timed(self, key: str, share: int = 1) -> Iterator[None]:
        """How long the block takes; with `share` that time divided by a number of equal things done in it."""
        begin = time.perf_counter()
        yield
        self.add(key, (time.perf_counter() - begin) * 1000 / share)

    def median(self, key: str) -> float | None:
        """The median, None when nothing was measured."""
        return statistics.median(self.figures[key]) if key in self.figures else None

    def parts(self, key: str) -> dict[str, float]:
        """The medians of a figure's parts by their names, as far as it was taken apart."""
        begin = part(key, "")
        return {
            each[len(begin) :]: statistics.median(self.figures[each]) for each in self.figures if each.startswith(begin)
        }

    def reason(self, key: str) -> str:
        """Why there is no figure: what was said of the key itself, or of whoever it belongs to."""
        return self.absent.get(key) or self.absent.get(key.partition(" ")[0], "not measured")
