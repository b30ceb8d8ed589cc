# SPDX-License-Identifier: GPL-3.0-or-later
"""What podman's and docker's command lines have in common."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

from ..waiting import PATIENCE, eventually

SCRIPT = "echo hello; trap 'exit 3' TERM; while :; do sleep 0.1; done"
WHO = ("sh", "-c", "id -un; pwd")
QUIET = "--iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --bridge=none --storage-driver=vfs"
ASK = ("sh", "-c", "test -t 0 && test -t 1 && echo yes")


class Client:
    """An engine's command; `words` are the beginning of each call."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def call(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """What came of a call."""
        given = {"capture_output": True, "text": True, "timeout": 4 * PATIENCE, **options}
        return subprocess.run([*self.words, *arguments], check=False, **given)

    def ok(self, *arguments: str, **options: Any) -> str:
        """What a call that must succeed has said."""
        done = self.call(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def import_box(self, rootfs: Path, packed: Path) -> None:
        """The image `box` from a directory, by way of the archive `packed`."""
        subprocess.run(["tar", "-C", str(rootfs), "-cf", str(packed), "."], check=True)
        self.ok("import", "--change", "ENV PATH=/bin", str(packed), "box")

    def on_a_terminal(self, *arguments: str) -> bytes:
        """What a call that must succeed says to a terminal of ours."""
        master, slave = pty.openpty()
        words = [*self.words, *arguments]
        with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
            os.close(slave)
            said = _until_hung_up(master)
        assert process.returncode == 0, said
        return said


class Docker(Client):
    """A daemon in namespaces of its own, and its client. `command` is its runtime, if it is not to be runc."""

    def __init__(self, directory: Path, command: Path | None = None) -> None:
        super().__init__(["docker", "--host", f"unix://{directory}/socket"])
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        words = ["unshare", "--mount", "--net", "dockerd", *QUIET.split(), f"--host=unix://{directory}/socket"]
        words += [f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"]
        words += [f"--default-ulimit=nofile={hard}:{hard}", "--exec-opt=native.cgroupdriver=cgroupfs"]
        words += [f"--add-runtime=mini={command}", "--default-runtime=mini"] if command else []
        with (directory / "log").open("wb") as log:
            self.daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(lambda: self.call("version").returncode == 0 or self._over(directory / "log"))

    def _over(self, log: Path) -> bool:
        assert self.daemon.poll() is None, log.read_text()[-2000:]
        return False

    def end(self) -> None:
        self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(PATIENCE)

    def run(self, *arguments: str, **options: Any) -> str:
        return self.ok("run", "--network", "none", *arguments, **options)


class Podman(Client):
    """A store of its own. `command` is the runtime, if it is not to be its own."""

    def __init__(self, directory: Path, command: Path | None = None) -> None:
        super().__init__(["podman", "--cgroup-manager=cgroupfs", "--storage-driver=vfs"])
        self.words += ["--runtime", str(command)] if command else []
        for option in ("root", "runroot", "tmpdir"):
            self.words += [f"--{option}", str(directory / option)]
        # Root here cannot raise what it was started with, and Podman asks for more.
        limits = [("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)]
        hard = {name: min(resource.getrlimit(number)[1], 1 << 15) for name, number in limits}
        self.options = ["--network", "none", *(f"--ulimit={name}={value}:{value}" for name, value in hard.items())]

    def run(self, *arguments: str, **options: Any) -> str:
        return self.ok("run", *self.options, *arguments, **options)


def _until_hung_up(master: int) -> bytes:
    """All that comes until nobody has the terminal any more."""
    said = b""
    while True:
        try:
            said += os.read(master, 4096)
        except OSError:
            os.close(master)
            return said
