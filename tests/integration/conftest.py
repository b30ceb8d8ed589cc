# SPDX-License-Identifier: GPL-3.0-or-later
"""Three hosts for all the tests of a run, a controller beside them, and playbooks that go to the hosts over ssh."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.mini.containers.plugins.module_utils.linux import libc

from .fleet import Fleet

REPOSITORY = Path(__file__).resolve().parents[2]
BOX = """
mkdir -p /srv/box/bin /srv/box/etc /srv/box/tmp /srv/box/www
cp /bin/busybox /srv/box/bin
for name in sh cat hostname httpd id nc ping sleep test true wget; do ln -sf busybox /srv/box/bin/$name; done
echo root:x:0:0::/root:/bin/sh > /srv/box/etc/passwd
"""


class Played(NamedTuple):
    """What a playbook printed, what each task gave on each host, and the numbers of its recap."""

    output: str
    tasks: list[tuple[str, str, dict[str, Any]]]
    stats: dict[str, dict[str, int]]

    @property
    def changed(self) -> list[str]:
        """The tasks that changed something, and where."""
        return sorted(f"{task} on {host}" for task, host, result in self.tasks if result.get("changed"))

    def result(self, task: str, host: str) -> dict[str, Any]:
        """What a task gave on a host."""
        return next(result for name, where, result in self.tasks if (name, where) == (task, host))


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three hosts, each with a root file system for an image. What is left of them fails the tests."""
    if os.getuid() != 0:
        pytest.exit("several hosts need root", returncode=3)
    made = Fleet(tmp_path_factory.mktemp("fleet") / "hosts")
    assert made.left() == []
    with contextlib.ExitStack() as stack:
        stack.callback(made.down)
        made.up()
        for name in made.names:
            made.on(name, BOX)
        yield made
    assert made.left() == []


@pytest.fixture
def lan(fleet: Fleet) -> Iterator[Fleet]:
    """The fleet, with this process in the network of its controller."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{fleet.pid('lan')}/ns/net", os.O_RDONLY)
    libc.setns(there, libc.CLONE_NEWNET)
    try:
        yield fleet
    finally:
        libc.setns(home, libc.CLONE_NEWNET)
        os.close(home)
        os.close(there)


@pytest.fixture(scope="session")
def play(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Runs a playbook, given as a path or as its text, on the hosts of the fleet."""
    program = Path(sys.executable).with_name("ansible-playbook")
    collections = next(path for path in sys.path if Path(path, "ansible_collections", "mini").is_dir())
    directory = tmp_path_factory.mktemp("play")
    results = directory / "results.json"
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callback")),
        "ANSIBLE_CALLBACKS_ENABLED": "results",
        "MINI_RESULTS": str(results),
    }

    def run(book: Path | str, *arguments: str, fails: bool = False, **variables: Any) -> Played:
        if isinstance(book, str):
            (directory / "play.yml").write_text(book)
            book = directory / "play.yml"
        given = ["-e", json.dumps(variables)] if variables else []
        command = [str(program), "-i", str(fleet.inventory), str(book), *given, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=env, cwd=REPOSITORY)
        output = done.stdout + done.stderr
        assert bool(done.returncode) == fails, output
        found = json.loads(results.read_text())
        return Played(output, [tuple(entry) for entry in found["tasks"]], found["stats"])

    return run
