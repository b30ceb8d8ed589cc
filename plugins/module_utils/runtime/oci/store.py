# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command remembers of containers between two calls: a directory for each, below `--root`.

`state.json` says who the first process is, `config.json` is the bundle's as it was at the creation: later changes to
it must not matter (runtime.md, "Lifecycle"). `exec.fifo` is there as long as the process waits to be started.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any

from ...core.errors import Conflict, NotFound
from ...linux.cgroups.detect import open_cgroup
from ...linux.cgroups.v1 import CgroupV1
from ...linux.cgroups.v2 import CgroupV2
from ...linux.files import make_private_dir, remove_tree, write_atomic
from ...linux.process import Process
from .. import state as states
from ..bundle import Bundle

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"
STATE, CONFIG, FIFO = "state.json", "config.json", "exec.fifo"
_ID = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9_+.-]{0,1023}")


class Container:
    """One container's directory."""

    def __init__(self, root: str, container_id: str) -> None:
        if not _ID.fullmatch(container_id):
            raise NotFound(f"{container_id!r} is no container's id: letters, digits and + . _ - make one")
        self.id = container_id
        self.directory = os.path.join(os.path.abspath(root), container_id)
        self.state: dict[str, Any] = {}

    def path(self, name: str) -> str:
        """One of the three files."""
        return os.path.join(self.directory, name)

    def reserve(self) -> None:
        """Take the id; `Conflict` if somebody has it."""
        make_private_dir(os.path.dirname(self.directory))
        try:
            os.mkdir(self.directory, 0o700)
        except FileExistsError as exc:
            raise Conflict(f"container with id exists: {self.id}", hint="delete it first") from exc

    def remember(self, bundle: Bundle, version: str) -> None:
        """What does not change any more."""
        write_atomic(self.path(CONFIG), json.dumps(bundle.config).encode())
        self.state = {
            "ociVersion": version,
            "id": self.id,
            "bundle": bundle.directory,
            "rootfs": os.path.realpath(bundle.root_path),
            "created": states.now(),
            "annotations": bundle.config.get("annotations") or {},
        }

    def write(self, **changes: Any) -> None:
        """Replace the state."""
        self.state.update(changes)
        states.write(self.path(STATE), self.state)

    def forget(self) -> None:
        """Give the id back."""
        remove_tree(self.directory)

    @property
    def bundle(self) -> Bundle:
        """The bundle as it was."""
        with open(self.path(CONFIG), "rb") as handle:
            return Bundle(self.state["bundle"], json.loads(handle.read()))

    @property
    def cgroup(self) -> CgroupV1 | CgroupV2:
        """Its cgroup."""
        return open_cgroup(self.bundle.cgroup_path)

    @property
    def process(self) -> Process | None:
        """Its first process, alive or not."""
        return states.process(self.state)

    def status(self) -> str:
        """One of the specification's, or paused."""
        process = self.process
        if process is None or not process.alive():
            return STOPPED if process or self.state.get("status") != CREATING else CREATING
        if self.state.get("status") == CREATING:
            return CREATING
        if os.path.exists(self.path(FIFO)):
            return CREATED
        return PAUSED if self.cgroup.frozen() else RUNNING

    def told(self, status: str = "") -> dict[str, Any]:
        """The state as the specification has it (runtime.md, "State"), and as hooks are told."""
        status = status or self.status()
        process = self.process
        known = {name: self.state[name] for name in ("ociVersion", "id", "bundle", "rootfs", "created", "annotations")}
        pid = process.pid if process and status != STOPPED else 0
        return {**known, "status": status, "pid": pid, "owner": ""}


def find(root: str, container_id: str) -> Container:
    """A container that exists; `NotFound` if it does not."""
    found = Container(root, container_id)
    found.state = states.read(found.path(STATE))
    if not found.state:
        raise NotFound(f"container does not exist: {container_id}")
    return found


def every(root: str) -> Iterator[Container]:
    """All containers below `root`, by id."""
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        if _ID.fullmatch(name) and os.path.exists(os.path.join(root, name, STATE)):
            yield find(root, name)


def wait_until(condition: Any, seconds: float) -> bool:
    """Whether `condition` came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
