# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own engine, called in this process: what a task does between its start and its end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Observer, silent
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, Subnet
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import execute
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.converge import converge, converge_all
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import Wish
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import find
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge as images
from ansible_collections.mini.containers.plugins.module_utils.engine.images.spec import ImageSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import attach
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import converge as networks
from ansible_collections.mini.containers.plugins.module_utils.glue.container import wish
from ansible_collections.mini.containers.plugins.module_utils.image.reference import parse
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .contestant import COMMAND, EXEC, MEMORY, PIDS, port, title

IMAGE, NETWORK = "box", "lan"
_FLAGS = {"recreate": False, "restart": False, "force_kill": True}
OPTIONS = {"image": IMAGE, "command": list(COMMAND), "memory": str(MEMORY), "pids_limit": PIDS, "stop_timeout": 0}


def prepare(paths: Paths, rootfs: Path) -> None:
    """The image and the network."""
    images.ensure(paths, ImageSpec(parse(IMAGE), src=str(rootfs)))
    networks.ensure(paths, NetworkSpec(NETWORK, ipam_config=(Subnet("10.99.0.0/24"),)), ())


def asked(number: int, *, network: bool) -> dict[str, Any]:
    """A task's options."""
    options = {**OPTIONS, "name": title(number)}
    if network:
        options.update(networks=[{"name": NETWORK}], published_ports=[port(number)])
    return options


class Engine:
    """Observe, plan, apply; `network` adds a network and a published port. `observer` is told of each step."""

    def __init__(self, paths: Paths, name: str, *, network: bool) -> None:
        self.paths = paths
        self.name = name
        self.network = network
        self.observer: Observer = silent

    def _converge(self, number: int, state: str) -> None:
        converge(self.paths, self._wish(number, state), observer=self.observer)

    def _wish(self, number: int, state: str) -> Wish:
        options = {"name": title(number)} if state == "absent" else asked(number, network=self.network)
        return wish({**_FLAGS, **options, "state": state})

    def bring_all(self, numbers: Iterable[int], state: str) -> None:
        """A list of containers in one task."""
        wishes = [self._wish(number, state) for number in numbers]
        for outcome in converge_all(self.paths, wishes, observer=self.observer):
            if outcome.error:
                raise outcome.error

    def run(self, number: int) -> None:
        self._converge(number, "started")

    def create(self, number: int) -> None:
        self._converge(number, "present")

    def start(self, number: int) -> None:
        self._converge(number, "started")

    def stop(self, number: int) -> None:
        """Stopped, and kept."""
        self._converge(number, "stopped")

    def exec(self, number: int) -> None:
        done = execute.execute(self.paths, title(number), EXEC, None, None, {})
        if done.rc:
            raise RuntimeError(f"exec ended with {done.rc}: {done.stderr!r}")

    def remove(self, number: int) -> None:
        self._converge(number, "absent")

    def id(self, number: int) -> str:
        """The container's id."""
        record = find(self.paths, title(number))
        if record is None:
            raise RuntimeError(f"{title(number)} is not there")
        return record.id

    def netns(self, number: int) -> str:
        """The path of its network namespace."""
        return self.paths.netns(self.id(number))

    def monitor(self, number: int) -> int:
        """The pid of its monitor."""
        pid: int = state.read(self.paths.run_state(self.id(number)))["monitor"]["pid"]
        return pid

    def launch(self, numbers: list[int]) -> None:
        """Start containers that ran before, all by one launcher: the runtime's part alone."""
        ids = [self.id(number) for number in numbers]
        for container_id in ids:
            attach.create_netns(self.paths.netns(container_id))
        for failed in runtime.start(self.paths, ids):
            if failed:
                raise failed
