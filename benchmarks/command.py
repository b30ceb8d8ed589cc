# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: what is measured, in which order."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from . import addresses, anatomy, peermodules, ports, programs, rounds, sandbox, streams, table, tasks, unpacking
from .contestant import Contestant
from .field import BATCH, PEERS, Field
from .samples import Samples

REPOSITORY = Path(__file__).resolve().parent.parent
ROUNDS, QUICK_ROUNDS, QUICK_BATCH = 9, 2, 3
CROWD, EDGE, CROWD_ROUNDS = 200, 10, 3  # containers on one host, and of these the first and the last


def main() -> int:
    """Measure in a throw-away host, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few runs, no peers: shows only that all of it works")
    quick: bool = parser.parse_args().quick
    if os.getuid() != 0:
        parser.error("containers need root")
    if os.environ.get("PEERS") and not quick:
        peermodules.fetch()
    return sandbox.run(lambda directory: _measure(directory, quick=quick))


def _measure(directory: Path, *, quick: bool) -> int:
    """Everything. What was measured before a failure is shown all the same."""
    samples = Samples()
    if quick:
        samples.absent.update(dict.fromkeys((*PEERS, *peermodules.COLLECTIONS), "left out by --quick"))
    try:
        _suites(samples, Field(directory), quick=quick)
    finally:
        print(table.render(samples, QUICK_BATCH if quick else BATCH), flush=True)
    return 0


def _suites(samples: Samples, field: Field, *, quick: bool) -> None:
    count, size = (QUICK_ROUNDS, QUICK_BATCH) if quick else (ROUNDS, BATCH)
    with contextlib.ExitStack() as stack:
        peers = [] if quick else field.peers(stack, samples)
        everyone: list[Contestant] = [field.engine, field.bare, *peers]
        _say("one container")
        rounds.single(samples, everyone, count)
        for contestant in everyone:
            _say(f"a loop: {contestant.name}")
            rounds.batch(samples, contestant, size)
        _say("where the time goes")
        anatomy.measure(samples, field.engine, count)
        _say("the runtime alone")
        rounds.launcher(samples, field.engine, size, count)
        rounds.listed(samples, field.engine, size, count)
        _say("a crowd")
        rounds.crowd(samples, field.engine, *(2 * size, size, 1) if quick else (CROWD, EDGE, CROWD_ROUNDS))
        _say("addresses")
        addresses.measure(samples, field.directory, addresses.FEW if quick else addresses.MANY, count)
        _say("ports")
        ports.measure(samples, field.directory, ports.FEW if quick else ports.MANY, count)
        _say("streams")
        clients = [peer for peer in peers if isinstance(peer, programs.Client)]
        streams.measure(samples, [field.engine, *clients], streams.LITTLE if quick else streams.MUCH, count)
        _say("images")
        loads, turns = (unpacking.QUICK_LOADS, count) if quick else (unpacking.LOADS, unpacking.ROUNDS)
        unpacking.measure(samples, field.directory / "images", loads, peers, turns)
        _say("tasks")
        groups = [tasks.ours(field.paths.state_root), *_module_groups(samples, peers, quick=quick)]
        tasks.measure(samples, field.directory, groups, count, peermodules.environment(REPOSITORY))


def _module_groups(samples: Samples, peers: list[Contestant], *, quick: bool) -> list[list[tasks.Task]]:
    """The tasks of those modules whose collection and engine are both here."""
    groups = []
    present = {peer.name: peer for peer in peers}
    for name in peermodules.COLLECTIONS if not quick else ():
        peer = present.get(name.partition("-")[0])
        if not peermodules.installed(name):
            samples.absent[name] = "not installed (make bench PEERS=1 fetches it)"
        elif not isinstance(peer, programs.Client):
            samples.absent[name] = samples.reason(name.partition("-")[0])
        else:
            groups.append(tasks.docker(peer.handle) if peer.name == "docker" else tasks.podman(peer.handle))
    return groups


def _say(what: str) -> None:
    """Progress, for whoever watches."""
    if sys.stderr.isatty():
        print(f"… {what}", file=sys.stderr)
