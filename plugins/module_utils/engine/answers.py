# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what the runtime answers, whoever it is that does what it was asked for."""

from __future__ import annotations

import contextlib
import json
import os
import select
from typing import Any, Callable

from ..core.errors import StepFailed
from ..runtime import report

_PIPE = 2**20  # no pipe of an ordinary process holds more: fs.pipe-max-size, pipe(7)

Answer = tuple[dict[str, Any], tuple[bytes, bytes]]
"""What the runtime says, and what came on standard output and error."""

Meanwhile = Callable[[], object]
"""What is done between a request and the wait for its answer."""


def nothing() -> None:
    """There is nothing to do meanwhile."""


def talk(verb: str, ask: Meanwhile, stop: Callable[[], object], answers: int, *outputs: int) -> Answer:
    """Ask; what comes on the descriptors for the answer, standard output and standard error.

    When we are interrupted (Ctrl-C), a start that is under way is over before we go on: only then can it be taken back.
    """
    try:
        ask()
        raw, output, errors = _read(answers, *outputs)
    except BaseException:
        stop()
        _read(answers)
        raise
    if not raw:
        reason = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it was killed"]
        raise StepFailed(f"the container runtime ended without an answer: {reason[0]}", step=verb)
    return json.loads(raw), (output, errors)


def _read(answers: int, *outputs: int) -> list[bytes]:
    """What came on each descriptor until the answer was complete, or there will be none.

    A process that a command left behind in the container may keep the others open for ever: what is in them counts.
    """
    found = {fd: bytearray() for fd in (answers, *outputs)}
    poller = select.poll()
    for fd in found:
        poller.register(fd, select.POLLIN)
    ended = False
    while not ended:
        for fd, _event in poller.poll():
            chunk = os.read(fd, _PIPE)
            found[fd] += chunk
            if not chunk:
                poller.unregister(fd)
            if fd == answers:
                ended = ended or not chunk or chunk.endswith(report.END)
    for fd in outputs:
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            found[fd] += os.read(fd, _PIPE)
    return [bytes(data) for data in found.values()]
