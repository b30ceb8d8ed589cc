# SPDX-License-Identifier: GPL-3.0-or-later
"""A Docker daemon of the benchmark's own: its stores, sockets, firewall and bridge are those of the sandbox."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE = 30


@contextlib.contextmanager
def running(directory: Path) -> Iterator[str]:
    """The socket of a daemon that answers, for as long as the block takes."""
    socket = "/run/bench-docker.sock"
    directory.mkdir()
    (directory / "daemon.json").write_text("{}")
    arguments = [
        *("dockerd", "--host", f"unix://{socket}", "--pidfile", str(directory / "pid")),
        *("--data-root", str(directory / "data"), "--exec-root", "/run/bench-docker"),
        *("--config-file", str(directory / "daemon.json")),
    ]
    with open(directory / "log", "wb") as log:
        daemon = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(daemon, socket, directory / "log")
        yield socket
    finally:
        daemon.terminate()
        daemon.wait(_PATIENCE)


def _wait(daemon: subprocess.Popen[bytes], socket: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and daemon.poll() is None:
        if os.path.exists(socket) and _answers(socket):
            return
        time.sleep(0.1)
    raise RuntimeError("dockerd does not come up: " + log.read_text(errors="replace")[-300:])


def _answers(socket: str) -> bool:
    asked = ["docker", "--host", f"unix://{socket}", "version"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0
