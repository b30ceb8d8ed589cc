# SPDX-License-Identifier: GPL-3.0-or-later
"""Who takes part: our engine, and what is installed of the others."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Callable

from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths

from . import bundle, dockerd, programs, rootfs
from .contestant import Contestant
from .engine import Engine, prepare
from .samples import Samples

OURS, OURS_BARE = "mini", "mini-bare"
PEERS = ("crun", "runc", "podman", "docker")
BATCH = 20
_MODEL = 1000


class Field:
    """The throw-away host with everything that the engines need."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.paths = Paths(str(directory / "state"))
        self.root = rootfs.make(directory)
        prepare(self.paths, self.root)
        self.engine = Engine(self.paths, OURS, network=True)
        self.bare = Engine(self.paths, OURS_BARE, network=False)

    def peers(self, stack: contextlib.ExitStack, samples: Samples) -> list[Contestant]:
        """Those that are there and work; for each of the others the reason is written down."""
        found: list[Contestant] = []
        config = self._config()
        packed = rootfs.pack(self.root)
        makers: dict[str, Callable[[], Contestant]] = {
            "crun": lambda: self._runtime("crun", config),
            "runc": lambda: self._runtime("runc", config),
            "podman": lambda: self._podman(packed),
            "docker": lambda: self._docker(packed, stack),
        }
        for name, make in makers.items():
            if shutil.which(name) is None or (name == "docker" and shutil.which("dockerd") is None):
                samples.absent[name] = "not installed"
                continue
            try:
                found.append(_tried(make()))
            except (RuntimeError, OSError) as exc:
                samples.absent[name] = f"does not work here: {exc}"
        return found

    def _config(self) -> dict[str, object]:
        """What our engine tells its runtime. That container stays, stopped: its files in /etc are mounted."""
        self.bare.run(_MODEL)
        self.bare.stop(_MODEL)
        path = self.paths.container(self.bare.id(_MODEL), "config.json")
        found: dict[str, object] = json.loads(Path(path).read_text())
        return found

    def _runtime(self, name: str, config: dict[str, object]) -> Contestant:
        def made(name: str, number: int) -> Path:
            directory = self.directory / name / str(number)
            if not directory.exists():
                bundle.write(bundle.adapt(config, self.root, f"/{name}/{number}"), directory)
            return directory

        for number in range(BATCH):
            made(name, number)
        return programs.Runtime(name, made)

    def _podman(self, packed: Path) -> Contestant:
        client = programs.podman(self.directory / "podman")
        client.take(packed)
        return client

    def _docker(self, packed: Path, stack: contextlib.ExitStack) -> Contestant:
        client = programs.docker(stack.enter_context(dockerd.running(self.directory / "docker")))
        client.take(packed)
        return client


def _tried(contestant: Contestant) -> Contestant:
    """Once through everything: what must be loaded or set up the first time is not measured, and it must work."""
    contestant.run(0)
    contestant.exec(0)
    contestant.remove(0)
    return contestant
