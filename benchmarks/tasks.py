# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole tasks: one playbook in which every module has its turn in each round, timed task by task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .contestant import COMMAND, MEMORY, PIDS, port, title
from .engine import asked
from .samples import Samples

_HERE = Path(__file__).resolve().parent / "ansible_plugins"
Task = dict[str, Any]


def ours(state_root: str) -> list[Task]:
    """Create and start, again, remove: of a container with a network and a port."""
    options = {**asked(1, network=True), "state_root": state_root}
    gone = {"name": title(1), "state": "absent", "force_kill": True, "state_root": state_root}
    module = "mini.containers.mini_container"
    return [
        {"name": "task create", module: options},
        {"name": "task unchanged", module: options},
        {"name": "task remove", module: gone},
    ]


def theirs(name: str, module: str, extra: dict[str, Any], limit: dict[str, Any]) -> list[Task]:
    """The same with a peer's module."""
    common = {"name": title(1), **extra}
    what = {"image": "localhost/box", "command": list(COMMAND), "ports": [port(1)], "memory": str(MEMORY)}
    options = {**common, **what, **limit, "state": "started"}
    return [
        {"name": f"{name} create", module: options},
        {"name": f"{name} unchanged", module: options},
        {"name": f"{name} remove", module: {**common, "state": "absent"}},
    ]


def docker(address: str) -> list[Task]:
    """community.docker."""
    extra = {"docker_host": address}
    limit = {"pids_limit": PIDS, "stop_timeout": 0}
    return theirs("docker-module", "community.docker.docker_container", extra, limit)


def podman(program: str) -> list[Task]:
    """containers.podman; `program` is a wrapper that knows where its stores are."""
    limit = {"pids_limit": str(PIDS), "stop_timeout": 0}
    return theirs("podman-module", "containers.podman.podman_container", {"executable": program}, limit)


def measure(samples: Samples, directory: Path, groups: list[list[Task]], rounds: int, env: dict[str, str]) -> None:
    """Run the playbook; the first round only warms up."""
    once = [{"name": "task empty", "nothing": {}}, *(task for group in groups for task in group)]
    play = {"hosts": "localhost", "gather_facts": False, "tasks": once * (rounds + 1)}
    playbook, times = directory / "bench.yml", directory / "times"
    playbook.write_text(json.dumps([play]))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(_inventory(directory)), str(playbook)],
        env={**os.environ, **_settings(directory, times), **env},
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError("the playbook failed: " + (done.stdout + done.stderr)[-2000:])
    for line in times.read_text().splitlines()[len(once) :]:
        name, milliseconds = json.loads(line)
        samples.add(name, milliseconds)


def _inventory(directory: Path) -> Path:
    path = directory / "hosts.json"
    host = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    path.write_text(json.dumps({"all": {"hosts": {"localhost": host}}}))
    return path


def _empty(path: Path) -> Path:
    path.touch()
    return path


def _settings(directory: Path, times: Path) -> dict[str, str]:
    """As the repository's ansible.cfg has it, and the stopwatch. Nothing is written outside `directory`."""
    return {
        "HOME": str(directory),
        "ANSIBLE_CONFIG": str(_empty(directory / "ansible.cfg")),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_LIBRARY": str(_HERE / "library"),
        "ANSIBLE_CALLBACK_PLUGINS": str(_HERE / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "stopwatch",
        "ANSIBLE_STDOUT_CALLBACK": "default",
        "BENCH_TIMES": str(times),
    }
