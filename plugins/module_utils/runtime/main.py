# SPDX-License-Identifier: GPL-3.0-or-later
"""The launcher: the runtime as a process of its own, which lives on after the task that started it.

Started as `python3 -I -S <directory>/__main__.py`, one request as JSON on standard input, one answer, a line of JSON,
on the descriptor that the request calls `answer`:

* `{"verb": "start", "bundles": [directory, …], "door": name}` → `{"results": [null or {step, errno, path, message}]}`
* `{"verb": "adopt", "bundles": [directory, …], "door": name}` → the same, of containers that run without a monitor
* `{"verb": "exec", "bundle": directory, "process": {…}, "detach": false}` → `{"failed": null or {…}, "code": status}`

Who asks for a start or an adoption has moved the launcher to where the monitors are, before it sends the request.

`door` is the name of the sockets at which the monitors take requests of this very version, beside the states of their
containers; `front`, if not empty, a path at which one of them can be found (door.py).
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
from ..linux.cgroups.detect import Hierarchies, hierarchies
from . import bundle as bundles
from . import detach, filters, report, visit
from .detach import Charge
from .filters import Filter
from .report import Report, StepError


def main() -> None:
    """Serve the one request."""
    request = json.loads(report.read_all(0))
    # Before any namespace is made or joined: see runtime/init.py.
    libc.prctl(libc.PR_SET_DUMPABLE, 0)
    os.write(request["answer"], json.dumps(serve(request)).encode() + report.END)
    # Nothing is left to be done, and an orderly end of the interpreter takes longer than a container's start.
    os._exit(0)


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked for; the answer. It is what happens at the door of a monitor as well (door.py)."""
    return {"start": start, "adopt": start, "exec": execute}[request["verb"]](request)


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Start every bundle, or adopt its container, all at once, each under its monitor.

    Between two forks as little as possible is done: what the launcher changes is a copy that only one monitor keeps.
    """
    groups = hierarchies()
    way = detach.Way(
        hold=[request["answer"], *request["hold"]],
        mounts=request["mounts"],
        adopt=request["verb"] == "adopt",
        door=request["door"],
        front=request["front"],
        serve=serve,
    )
    shared: dict[Filter, Filter] = {}
    alone = len(request["bundles"]) == 1
    prepared = [_prepare(directory, groups, shared, alone=alone) for directory in request["bundles"]]
    gc.freeze()
    begun = [one if isinstance(one, Report) else detach.fork(one, way) for one in prepared]
    return {"results": [_result(one) for one in begun]}


def _prepare(directory: str, groups: Hierarchies, shared: dict[Filter, Filter], *, alone: bool) -> Charge | Report:
    """What a monitor needs of a bundle. The filter that many want is `shared`.

    Who is `alone` has all of it, as it has been read. Of many none keeps more than is to be watched: each would carry
    those of all.
    """
    bundle = bundles.load(directory)
    try:
        filter_ = filters.wanted(bundle)
    except (MiniError, StepError) as exc:
        return Report("seccomp", 0, "", exc.message)
    return Charge(
        bundle if alone else bundle.watched(), shared.setdefault(filter_, filter_) if filter_ else None, groups
    )


def _result(begun: int | Report) -> dict[str, Any] | None:
    if isinstance(begun, Report):
        return begun._asdict()
    raw = report.read_all(begun)
    return report.parse(raw)._asdict() if raw else None


def execute(request: dict[str, Any]) -> dict[str, Any]:
    """Run a process in a running container."""
    bundle = bundles.load(request["bundle"])
    return visit.serve(bundle, filters.wanted(bundle), request)
