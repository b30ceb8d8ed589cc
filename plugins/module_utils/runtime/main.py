# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher: the runtime as a process of its own, which lives on after the task that started it.

Started as `python3 -I -S <directory>/__main__.py`, one request as JSON on standard input, one answer as JSON on the
descriptor that the request calls `answer`:

* `{"verb": "start", "bundles": [directory, …]}` → `{"results": [null or {step, errno, path, message}, …]}`
* `{"verb": "adopt", "bundles": [directory, …]}` → the same, of containers that run without a monitor
* `{"verb": "exec", "bundle": directory, "process": {…}, "detach": false}` → `{"failed": null or {…}, "code": status}`

`mounts` is a descriptor of the host's mount namespace, which the launcher is not in.

Whatever becomes of the launcher, a start goes on. Until it is over its monitor keeps `answer` open, and the descriptors
that the request calls `hold`: a lock among them is not free, and no end of file is seen, while a start is under way.

Whoever starts it has made the interpreter read-only for it (`linux/seal.py`), so that an image which executes
`/proc/self/exe` cannot write to the host's Python (CVE-2019-5736).
"""

from __future__ import annotations

import gc
import json
import os
from typing import Any

from ..core.errors import MiniError
from ..linux import libc
from ..linux.cgroups import monitors
from ..linux.cgroups.detect import Hierarchies, hierarchies
from . import bundle as bundles
from . import console, detach, filters, report, state
from . import exec as executor
from .detach import Charge
from .filters import Filter
from .report import Report, StepError


def main() -> None:
    """Serve the one request."""
    request = json.loads(report.read_all(0))
    # Before any namespace is made or joined: see runtime/init.py.
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    answer = {"start": start, "adopt": start, "exec": execute}[request["verb"]](request)
    os.write(request["answer"], json.dumps(answer).encode())
    # Nothing is left to be done, and an orderly end of the interpreter takes longer than a container's start.
    os._exit(0)


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Start every bundle, or adopt its container, all at once, each under its monitor.

    Between two forks as little as possible is done: what the launcher changes is a copy that only one monitor keeps.
    """
    groups = hierarchies()
    monitors.move_in(groups)
    hold = [request["answer"], *request["hold"]]
    adopt = request["verb"] == "adopt"
    shared: dict[Filter, Filter] = {}
    prepared = [_prepare(directory, groups, shared) for directory in request["bundles"]]
    gc.freeze()
    begun = [
        one if isinstance(one, Report) else detach.fork(one, hold, request["mounts"], adopt=adopt) for one in prepared
    ]
    return {"results": [_result(one) for one in begun]}


def _prepare(directory: str, groups: Hierarchies, shared: dict[Filter, Filter]) -> Charge | Report:
    """What a monitor needs of a bundle. The filter that many want is `shared`."""
    bundle = bundles.load(directory)
    try:
        filter_ = filters.wanted(bundle)
    except (MiniError, StepError) as exc:
        return Report("seccomp", 0, "", exc.message)
    return Charge(bundle.watched(), shared.setdefault(filter_, filter_) if filter_ else None, groups)


def _result(begun: int | Report) -> dict[str, Any] | None:
    if isinstance(begun, Report):
        return begun._asdict()
    raw = report.read_all(begun)
    return report.parse(raw)._asdict() if raw else None


def execute(request: dict[str, Any]) -> dict[str, Any]:
    """Run a process in a running container, on our standard output and error.

    What it reads is behind the descriptor that the request holds; without one it reads nothing. With `detach` nobody
    waits for it, and what it writes is lost.
    """
    bundle = bundles.load(request["bundle"])
    target = state.process(state.read(bundle.annotation(bundles.ANNOTATION_STATE)))
    if target is None:
        return {"failed": executor.NOT_RUNNING._asdict(), "code": 0}
    detach, source = request["detach"], (request["hold"] or [-1])[0]
    visitor = executor.Visitor(bundle, filters.wanted(bundle), request["process"])
    visitor.stdio = (source, -1, -1) if detach else (source, 1, 2)
    ours, visitor.console_fd = console.pair() if request["process"].get("terminal") else (-1, -1)
    begun = executor.begin(visitor, target)
    if isinstance(begun, Report):
        return {"failed": begun._asdict(), "code": 0}
    if detach:
        return {"failed": None, "code": 0}
    if ours >= 0:
        console.Relay(console.receive(ours), source, 1).until(libc.pidfd_open(begun))
    return {"failed": None, "code": executor.wait(begun)}
