# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be pruned: by age and by label, in canonical form. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)\Z")

Label = tuple[str, Optional[str]]
"""A label's name, and its value unless any will do."""


@dataclass(frozen=True)
class Filters:
    """`before` is a time in seconds since 1970. All of `labels` must be there, and none of `without`.

    `every` takes more than what is clearly nobody's: images that have a name, volumes that somebody named.
    """

    before: Optional[float] = None
    labels: tuple[Label, ...] = ()
    without: tuple[Label, ...] = ()
    every: bool = False

    def take(self, created: str, labels: Mapping[str, str]) -> bool:
        """Whether something that was made then, and has these labels, is meant. Of what age nobody knows stays."""
        if self.before is not None:
            made = seconds(created)
            if made is None or made >= self.before:
                return False
        return all(_has(labels, one) for one in self.labels) and not any(_has(labels, one) for one in self.without)


def _has(labels: Mapping[str, str], wanted: Label) -> bool:
    name, value = wanted
    return name in labels and value in (None, labels[name])


def seconds(text: str) -> Optional[float]:
    """A time of RFC 3339 in seconds since 1970; None when it is none."""
    match = _TIME.match(text)
    if match is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(match[1] + ("+00:00" if match[2] == "Z" else match[2]))
    except ValueError:
        return None
    return moment.timestamp()
