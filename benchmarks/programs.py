# SPDX-License-Identifier: GPL-3.0-or-later
"""The other engines as command lines."""

from __future__ import annotations

import resource
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .contestant import COMMAND, EXEC, MEMORY, PIDS, port, title

_IMAGE = "localhost/box"
_LIMITS = ("--memory", str(MEMORY), "--pids-limit", str(PIDS))


def call(*arguments: str) -> None:
    """Run a program to its end. Its errors are the benchmark's: a pipe would be kept open by the container."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode} of {' '.join(arguments)}")


class Runtime:
    """crun or runc on bundles, one a container. They have no network and no monitor."""

    def __init__(self, name: str, bundle: Callable[[str, int], Path]) -> None:
        self.name = name
        self._bundle = bundle

    def run(self, number: int) -> None:
        call(self.name, "run", "--detach", "--bundle", str(self._bundle(self.name, number)), title(number))

    def create(self, number: int) -> None:
        call(self.name, "create", "--bundle", str(self._bundle(self.name, number)), title(number))

    def start(self, number: int) -> None:
        call(self.name, "start", title(number))

    def exec(self, number: int) -> None:
        call(self.name, "exec", title(number), *EXEC)

    def remove(self, number: int) -> None:
        call(self.name, "delete", "--force", title(number))


class Client:
    """docker or podman: their own default network, one published port. `handle` is what their modules are given."""

    def __init__(
        self, name: str, program: Sequence[str], extra: Sequence[str], force: Sequence[str], handle: str
    ) -> None:
        self.name = name
        self.handle = handle
        self._program = tuple(program)
        self._options = (*_LIMITS, *extra)
        self._force = tuple(force)

    def call(self, *arguments: str) -> None:
        """One command."""
        call(*self._program, *arguments)

    def netns(self, number: int) -> str:
        """The path of the container's network namespace."""
        asked = (*self._program, "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", title(number))
        return subprocess.run(asked, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()

    def take(self, packed: Path) -> None:
        """Import the image."""
        self.call("import", str(packed), _IMAGE)

    def _make(self, verb: Sequence[str], number: int) -> None:
        self.call(*verb, "--name", title(number), "--publish", port(number), *self._options, _IMAGE, *COMMAND)

    def run(self, number: int) -> None:
        self._make(("run", "--detach"), number)

    def create(self, number: int) -> None:
        self._make(("create",), number)

    def start(self, number: int) -> None:
        self.call("start", title(number))

    def exec(self, number: int) -> None:
        self.call("exec", title(number), *EXEC)

    def remove(self, number: int) -> None:
        self.call("rm", *self._force, title(number))


def podman(directory: Path) -> Client:
    """Podman with its stores in `directory`. It would ask for more open files than this process may have."""
    directory.mkdir()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    stores = (
        "--root",
        str(directory / "root"),
        "--runroot",
        str(directory / "run"),
        "--tmpdir",
        str(directory / "tmp"),
    )
    program = ("podman", *stores, "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--log-level", "error")
    extra = ("--ulimit", f"nofile={hard}:{hard}", "--ulimit", "nproc=32768:32768")
    wrapper = directory / "podman"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n')
    wrapper.chmod(0o755)
    return Client("podman", program, extra, ("--force", "--time", "0"), str(wrapper))


def docker(socket: str) -> Client:
    """Docker at the daemon that listens on `socket`."""
    address = f"unix://{socket}"
    return Client("docker", ("docker", "--host", address), (), ("--force",), address)
