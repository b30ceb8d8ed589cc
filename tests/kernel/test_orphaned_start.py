# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever has to do with a start is killed at its last step: what is reported is what is true, and it is over once."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Busy
from ansible_collections.mini.containers.plugins.module_utils.linux.files import locked
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .waiting import PATIENCE, eventually

PROGRAM = "#!/bin/sh\nexec sleep 1000\n"


@pytest.fixture
def leased(host: Any) -> Iterator[int]:
    """A container that is not started yet, and a lease on its program: whoever executes that waits (fcntl(2))."""
    host.container(state="present", command="/program")
    path = Path(host.paths.container(host.record().id, "upper"), "program")
    path.write_text(PROGRAM)
    path.chmod(0o755)
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    lease = os.open(path, os.O_RDWR)
    fcntl.fcntl(lease, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield lease
    os.close(lease)
    signal.signal(signal.SIGIO, before)
    host.absent("c")


def _start(host: Any) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            host.container(command="/program")
            code = 0
        finally:
            os._exit(code)
    return child


def _about_to_execute(lease: int) -> None:
    eventually(lambda: fcntl.fcntl(lease, fcntl.F_GETLEASE) != fcntl.F_WRLCK)


def _kill_the_starter(host: Any, lease: int) -> None:
    _about_to_execute(lease)
    known = state.read(host.paths.run_state(host.record().id))
    init, monitor = known["init"]["pid"], known["monitor"]["pid"]
    starter = int(Path(f"/proc/{init}/stat").read_text().rpartition(")")[2].split()[1])
    assert starter != monitor
    os.kill(starter, signal.SIGKILL)
    eventually(lambda: Path(f"/proc/{init}/stat").read_text().rpartition(")")[2].split()[1] == str(monitor))


def test_the_program_runs(host: Any, leased: int) -> None:
    task = _start(host)
    _kill_the_starter(host, leased)
    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    assert os.waitpid(task, 0)[1] == 0
    assert not host.container(command="/program").plan
    assert b"sleep 1000" in host.exec("c", "ps").stdout
    os.kill(host.pid(), signal.SIGKILL)
    assert host.ended()["exit_code"] == 128 + signal.SIGKILL, "its monitor is its parent"


def test_the_program_cannot_be_executed(host: Any, leased: int) -> None:
    task = _start(host)
    _kill_the_starter(host, leased)
    os.ftruncate(leased, 0)
    os.pwrite(leased, b"no program", 0)
    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    assert os.waitpid(task, 0)[1] != 0
    assert host.pid() == 0
    assert not os.path.exists(host.paths.run_state(host.record().id))


@pytest.mark.parametrize("neighbours", [(), ("other",)])
def test_a_start_goes_on_without_its_task(host: Any, leased: int, neighbours: tuple[str, ...]) -> None:
    """By a launcher, and at the door of another monitor. Nobody else has a hand in it before it is over."""
    for name in neighbours:
        host.container(name)
    task = _start(host)
    _about_to_execute(leased)
    os.kill(task, signal.SIGKILL)
    os.waitpid(task, 0)
    with pytest.raises(Busy), locked(host.paths.lock("container", "c"), "c", timeout=0.3):
        pass
    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    with locked(host.paths.lock("container", "c"), "c", timeout=PATIENCE):
        assert host.pid() != 0
    host.absent(*neighbours)
