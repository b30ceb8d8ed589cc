# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that are done for several containers at once: one launcher, one firewall transaction, one wait for all.

A single container is a list of one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

from ...core.errors import MiniError
from ...core.paths import Paths
from ...core.plan import Joint, Step
from ...runtime.restart import STOP_FILE
from .. import runtime
from ..answers import Meanwhile, nothing
from ..networks import attach
from . import hosts, removing, stopping, waiting
from .neighbours import Neighbours
from .record import STARTED, STOPPED

if TYPE_CHECKING:
    from .actions import Actions

AT_ONCE = 64  # as many are stopped at once

Members = Sequence[tuple["Actions", Step]]
Results = list[Optional[Exception]]


def stop(members: Members) -> Results:
    """Signal, wait, kill, each with its own patience: the processes are gone when this returns."""
    results = at_once([partial(_end, one, step) for one, step in members])
    ended = [(one, step) for (one, step), failed in zip(members, results) if failed is None]
    left = {one.record.id: one.record for one, step in ended if not step.detail.get("keep_network")}
    if left:
        removing.release_networks(ended[0][0].paths, left)
    for one, step in ended:
        if step.detail.get("for_good"):
            one.want(STOPPED)
    return results


def _end(one: Actions, step: Step) -> None:
    kill, kill_signal = bool(step.detail.get("kill")), step.detail.get("kill_signal", "")
    stopping.end(one.paths, one.record, kill=kill, kill_signal=kill_signal)


def at_once(work: Sequence[Callable[[], object]]) -> Results:
    """Do all of it at the same time; for each None or what it raised."""
    if len(work) < 2:
        return [_result(one) for one in work]
    # It takes longer to load than to stop a container that obeys.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_result, work))


def _result(work: Callable[[], object]) -> Optional[Exception]:
    try:
        work()
    except Exception as exc:
        return exc
    return None


def publish(members: Members) -> Results:
    """Make the firewall's rules for the containers exactly those of their ports."""
    try:
        attach.publish(members[0][0].paths, {one.record.id: one.wiring.to_publish(step) for one, step in members})
    except MiniError as exc:
        # Whose ports they are that cannot be had shows when each is alone.
        return [exc] if len(members) == 1 else [publish([member])[0] for member in members]
    return [_result(partial(one.wiring.published, step)) for one, step in members]


def write_bundle(members: Members) -> Results:
    """What the runtime is told. By now all of them have their addresses, so that each knows the others by name."""
    known = Neighbours(members[0][0].paths)
    return [_result(partial(one.write_bundle, step, known)) for one, step in members]


def start(members: Members) -> Results:
    """Run the first processes, and tell the others in their networks where they are."""
    paths = members[0][0].paths
    for one, _step in members:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.run(one.record.id, STOP_FILE))
    results: Results = []
    tell: Meanwhile = partial(_tell_peers, paths, [one for one, _step in members])
    for some in _portions([one for one, _step in members]):
        ids, locks = [one.record.id for one in some], [one.lock for one in some]
        failures = runtime.start(paths, ids, locks, members[0][0].front, tell)
        results += [_begun(one, failed) for one, failed in zip(some, failures)]
        tell = nothing
    return results


def _tell_peers(paths: Paths, members: Sequence[Actions]) -> None:
    """Their addresses are theirs whether they come up or not."""
    networks = dict.fromkeys(name for one in members for name in one.record.networks)
    hosts.tell_peers(paths, networks, but=members[0].record.id if len(members) == 1 else "")


def _portions(members: Sequence[Actions]) -> Iterator[Sequence[Actions]]:
    for begin in range(0, len(members), runtime.AT_ONCE):
        yield members[begin : begin + runtime.AT_ONCE]


def _begun(one: Actions, failed: Optional[MiniError]) -> Optional[Exception]:
    if failed is None:
        return _result(partial(one.want, STARTED))
    failed.message = f"cannot start {one.name}: {failed.message}"
    return failed


def wait_healthy(members: Members) -> Results:
    """Only then are they worth replacing others."""
    patience = [(one.record, step.detail["timeout"]) for one, step in members]
    return [*waiting.wait_healthy(members[0][0].paths, patience)]


# What goes first when some have come to one of them, and some to another.
JOINT: Mapping[str, Joint[Actions]] = {
    "stop": stop,
    "publish": publish,
    "write-bundle": write_bundle,
    "start": start,
    "wait-healthy": wait_healthy,
}
