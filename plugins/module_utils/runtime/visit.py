# SPDX-License-Identifier: GPL-3.0-or-later
"""A further process in a running container, from the request to its end: by a launcher, or at the monitor's door."""

from __future__ import annotations

from typing import Any

from ..linux import libc
from . import bundle as bundles
from . import console, state
from . import exec as executor
from .bundle import Bundle
from .filters import Filter
from .report import Report
from .usher import Visitor


def serve(bundle: Bundle, filter_: Filter | None, request: dict[str, Any]) -> dict[str, Any]:
    """Run the process that is asked for, on our standard output and error; the answer.

    What it reads is behind the descriptor that the request holds; without one it reads nothing. With `detach` nobody
    waits for it, and what it writes is lost.
    """
    target = state.process(state.read(bundle.annotation(bundles.ANNOTATION_STATE)))
    if target is None:
        return failed(executor.NOT_RUNNING)
    detach, source = request["detach"], (request["hold"] or [-1])[0]
    visitor = Visitor(bundle, filter_, request["process"])
    visitor.stdio = (source, -1, -1) if detach else (source, 1, 2)
    ours, visitor.console_fd = console.pair() if request["process"].get("terminal") else (-1, -1)
    begun = executor.begin(visitor, target)
    if isinstance(begun, Report):
        return failed(begun)
    if detach:
        return {"failed": None, "code": 0}
    if ours >= 0:
        console.Relay(console.receive(ours), source, 1).until(libc.pidfd_open(begun))
    return {"failed": None, "code": executor.wait(begun)}


def failed(why: Report) -> dict[str, Any]:
    """The answer when no program was run."""
    return {"failed": why._asdict(), "code": 0}
