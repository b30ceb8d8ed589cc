# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of one task that need each other: who comes first, and what becomes of one by the plan of another. Pure.

A container needs those whose namespaces it joins and those in its `volumes_from`. When the same task makes them, it is
planned as if they were there already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Optional, TypeVar

from ...core.plan import Plan
from ...core.specs.volume import Mount
from .compare import Wish, merge
from .macs import Place, places
from .observe import Observation
from .sharing import joined

MAKE, START = "reserve-name", "start"
DOWN, UP = 0, 1  # the first wave is for what is to go or to stop: names, addresses and ports are free then
ID_DIGITS = 12
Case = TypeVar("Case")
Found = TypeVar("Found")


class Coming(NamedTuple):
    """A container whose turn is before: what is asked, what is there, and what will be done."""

    wish: Wish
    seen: Observation
    plan: Plan

    @property
    def runs(self) -> bool:
        """Whether it will run."""
        return self.wish.runs or (self.wish.state == "present" and self.seen.running)

    @property
    def anew(self) -> bool:
        """Whether it will have a new first process."""
        return any(step.name == START for step in self.plan)

    def mounts(self, now: Optional[tuple[Mount, ...]]) -> Optional[tuple[Mount, ...]]:
        """The mounts that it will have; those that it has `now`, when no new one is made of it."""
        if self.wish.state == "absent":
            return None
        return next((step.detail["mounts"] for step in self.plan if step.name == MAKE), now)


def needed(wish: Wish, seen: Observation) -> list[str]:
    """The names of the containers without which this one cannot be made or started. One that is to go needs none."""
    if wish.state == "absent":
        return []
    spec = merge(seen.record.spec, wish) if seen.record else wish.spec
    return [*joined(spec).values(), *(entry.container for entry in spec.volumes_from)]


def keys(wish: Wish, seen: Observation) -> list[str]:
    """What others may call the container: its name, or its id, of which they give at least twelve digits."""
    return [wish.spec.name, *([seen.record.id[:ID_DIGITS]] if seen.record else [])]


def found(table: Mapping[str, Found], reference: str) -> Optional[Found]:
    """What the table has under one of the container's keys."""
    return table.get(reference, table.get(reference[:ID_DIGITS]))


def waves(cases: Sequence[tuple[Case, Wish, Observation]]) -> list[list[Case]]:
    """The cases in their order, those of each wave after all that they need. Who needs himself in the end has to wait
    for nobody: that he cannot be made is for the plan to say.
    """
    numbers = {key: number for number, (_case, wish, seen) in enumerate(cases) for key in keys(wish, seen)}
    depth: dict[int, int] = {}

    def settle(number: int, waiting: frozenset[int]) -> int:
        if number not in depth:
            _case, wish, seen = cases[number]
            others = [found(numbers, name) for name in needed(wish, seen)]
            waiting |= {number}
            before = [settle(other, waiting) for other in others if other is not None and other not in waiting]
            own = DOWN if wish.state in ("absent", "stopped") else UP
            depth[number] = max([own, *(wave + 1 for wave in before)])
        return depth[number]

    for number in range(len(cases)):
        settle(number, frozenset())
    return [
        [cases[number][0] for number in sorted(depth) if depth[number] == wave] for wave in sorted({*depth.values()})
    ]


def foresee(wish: Wish, seen: Observation, coming: Mapping[str, Coming]) -> Observation:
    """What will be there when it is this one's turn. `coming` are those whose turn is before, by their keys."""
    wanted = dict.fromkeys(joined(wish.spec).values())
    peers = {name: found(coming, name) for name in wanted}
    down = [name for name, peer in peers.items() if (not peer.runs if peer else name in seen.peers_down)]
    donors = {name: _mounts(found(coming, name), now) for name, now in seen.donors.items()}
    severed = seen.severed
    if seen.running and seen.record and not severed:
        others = {name: found(coming, name) for name in joined(seen.record.spec).values()}
        anew = [name for name, other in others.items() if other and other.anew]
        severed = tuple(f"{name}, whose namespaces it shares, is started anew" for name in anew)
    holders = _mac_holders(wish, seen, coming)
    return replace(seen, peers_down=tuple(down), donors=donors, severed=severed, mac_holders=holders)


def _mac_holders(wish: Wish, seen: Observation, coming: Mapping[str, Coming]) -> dict[Place, str]:
    """Who goes before this one's turn has no MAC address any more, and who is made has his."""
    asked = places(wish.spec.networks)
    staying = [one.wish.spec for one in coming.values() if one.wish.state != "absent"] if asked else []
    theirs = {place: spec.name for spec in staying for place in places(spec.networks)}
    gone = {one.wish.spec.name for one in coming.values() if one.wish.state == "absent"}
    now = {place: holder for place, holder in seen.mac_holders.items() if holder not in gone}
    return {**now, **{place: theirs[place] for place in asked if place in theirs}}


def _mounts(coming: Optional[Coming], now: Optional[tuple[Mount, ...]]) -> Optional[tuple[Mount, ...]]:
    return coming.mounts(now) if coming else now
