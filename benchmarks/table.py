# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table: median, least and most of each row, its ratio to others, its budget; of what is missed, the largest
parts."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping

from . import anatomy
from .rows import GROUPS, Against, Row
from .samples import Samples

_WIDTH = 40
_REASON = 70
_MISSED, _SHARES = "MISSED", 5
_HEADER = f"{'':{_WIDTH}} {'n':>4} {'median':>9} {'min':>8} {'max':>8}  {'beside':36} budget"


def render(samples: Samples, size: int) -> str:
    """The whole table as text."""
    lines = [
        f"{platform.system()} {platform.release()}, {os.cpu_count()} processors; a batch is {size} containers",
        _HEADER,
    ]
    for group in (*GROUPS, anatomy.group(samples)):
        lines += ["", group.heading]
        for row in group.rows:
            lines += _row(samples, row)
    return "\n".join(lines)


def _row(samples: Samples, row: Row) -> Iterator[str]:
    """The figure with its first comparison; a line for each further one."""
    figures = samples.figures.get(row.key)
    if not figures:
        yield f"{row.label:{_WIDTH}} {samples.reason(row.key)[:_REASON]}"
        return
    middle = statistics.median(figures)
    left = f"{row.label:{_WIDTH}} {len(figures):4} {middle:6.1f} {row.unit} {min(figures):8.1f} {max(figures):8.1f}"
    right = [line for against in row.against for line in _against(samples, middle, against, row.unit)]
    for text in right or [""]:
        yield f"{left}  {text}".rstrip()
        left = " " * len(left)
    if any(text.endswith(_MISSED) for text in right):
        yield from _largest(samples.parts(row.key))


def _largest(parts: Mapping[str, float]) -> Iterator[str]:
    """Where it goes: of a figure that is missed, the largest parts."""
    ranked = sorted(parts.items(), key=lambda entry: -entry[1])[:_SHARES]
    if ranked:
        yield "    of that: " + ", ".join(f"{name} {size:.1f}" for name, size in ranked)


def _against(samples: Samples, middle: float, against: Against, unit: str) -> Iterator[str]:
    if not against.key:
        yield f"{'':36} {_budget(middle, against.limit, f' {unit}')}"
        return
    other = samples.median(against.key)
    if other:
        yield f"{middle / other:5.2f} × {against.key:28} {_budget(middle / other, against.limit, ' ×')}"


def _budget(value: float, limit: float | None, unit: str) -> str:
    if limit is None:
        return ""
    return f"≤ {limit:g}{unit} {'met' if value <= limit else _MISSED}"
