# SPDX-License-Identifier: GPL-3.0-or-later
"""A further command in a running container."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from ...core.errors import Conflict, NotFound
from ...core.paths import Paths
from ...linux.cgroups.detect import open_cgroup
from ...runtime import state
from .. import runtime
from . import bundle
from .living import live_process
from .record import find


class Talk(NamedTuple):
    """What the command reads, if anything; whether it has a terminal; whether nobody waits for it."""

    stdin: Optional[bytes] = None
    tty: bool = False
    detach: bool = False


def execute(
    paths: Paths,
    name: str,
    args: Sequence[str],
    user: Optional[str],
    cwd: Optional[str],
    env: dict[str, str],
    talk: Talk = Talk(),  # noqa: B008 - it cannot be changed
) -> runtime.ExecResult:
    """Run `args` in the container `name` as its own process would run, but for what is given."""
    record = find(paths, name)
    if record is None:
        raise NotFound(f"container {name} does not exist")
    if live_process(state.read(paths.run_state(record.id))) is None:
        raise Conflict(f"container {name} does not run", hint="start it first")
    if open_cgroup(bundle.cgroup_path(record.id, record.spec.cgroup_parent)).frozen():
        raise Conflict(f"container {name} is paused", hint="let it go on first, with paused: false")
    process = bundle.process(record.spec, record.image_config)
    process["args"] = list(args)
    if talk.tty and not any(entry.startswith("TERM=") for entry in process["env"]):
        process["env"].append(f"TERM={bundle.TERM}")
    process["env"] += [f"{key}={value}" for key, value in env.items()]
    if user:
        process["user"] = {**process["user"], "username": user}
    if cwd:
        process["cwd"] = cwd
    # A terminal ends with whoever holds it, so a process that is left alone must do without.
    process["terminal"] = talk.tty and not talk.detach
    return runtime.execute(paths, record.id, process, talk.stdin, detach=talk.detach)
