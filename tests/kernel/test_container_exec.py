# SPDX-License-Identifier: GPL-3.0-or-later
"""A further process in a running container: what it may see on its way in, and how it ends."""

from __future__ import annotations

import os
import signal
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime

from .waiting import eventually


def test_a_launcher_that_is_interrupted_reads_nothing_of_the_image(host: Any) -> None:
    """CVE-2019-14271 by way of a traceback: Python shows the lines of its source, decoded as the file itself says.

    A launcher that had moved into the container would find the image's files at the paths of its own.
    """
    host.container()
    upper = Path(host.paths.container(host.record().id, "upper"))
    _set_traps(upper, runtime.installed(host.paths))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background of a script ignores it
        try:
            host.exec("c", "sleep", "999")
        finally:
            os._exit(0)
    (launcher,) = _when_running(host, "sleep")
    os.kill(launcher, signal.SIGINT)
    eventually(lambda: _command(launcher) == b"")
    assert not (upper / "sprung").exists()
    os.waitpid(child, 0)
    host.absent("c")


def test_a_command_may_leave_a_process_behind(host: Any) -> None:
    """A daemon keeps the output it was born with; whoever started it does not wait for its end."""
    host.container()
    done = host.exec("c", "sh", "-c", "echo started; sleep 4321 & echo oops >&2")
    assert (done.rc, done.stdout, done.stderr) == (0, b"started\n", b"oops\n")
    assert b"sleep 4321" in host.exec("c", "ps").stdout
    host.container(state="absent", force_kill=True)


def test_a_container_without_room_for_a_further_process(host: Any) -> None:
    """The way in takes two for a moment. Which limit it was is said, and nobody stays on the way."""
    host.container(pids_limit=2)
    with pytest.raises(MiniError, match="no room for a further process .pids_limit"):
        host.exec("c", "true")
    assert host.cgroup_file("c", "pids", "pids.current") == "1"
    host.container(pids_limit=3)
    assert host.exec("c", "true").rc == 0
    host.absent("c")


def test_a_large_output_is_whole(host: Any) -> None:
    host.container()
    done = host.exec("c", "sh", "-c", "seq 1 200000; seq 1 100000 >&2")
    assert done.stdout == b"".join(b"%d\n" % number for number in range(1, 200001))
    assert done.stderr == b"".join(b"%d\n" % number for number in range(1, 100001))
    host.absent("c")


def test_a_container_that_ends_on_the_way_in(host: Any) -> None:
    """Nothing can be born into a pid namespace whose first process is dead: one sentence, as if it had not run."""
    host.container(command="sleep 1000")
    stop = os.fork()
    if stop == 0:
        try:
            time.sleep(0.2)  # while one or another of many is on its way
            os.kill(host.pid(), signal.SIGKILL)
        finally:
            os._exit(0)
    with pytest.raises(MiniError, match="not running|does not run"):
        _exec_for_ever(host)
    os.waitpid(stop, 0)
    host.absent("c")


def _exec_for_ever(host: Any) -> None:
    while True:
        assert host.exec("c", "true").rc in (0, 137)


def _set_traps(upper: Path, code: str) -> None:
    """The runtime's files with an encoding of their own, and the module that Python would load for it."""
    for directory, _directories, files in os.walk(code):
        for name in files:
            if name.endswith(".py"):
                path = upper / os.path.join(directory, name).lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("# coding: cp500\n" * 200)
    path = upper / os.path.realpath(sysconfig.get_path("stdlib")).lstrip("/") / "encodings" / "cp500.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("open('/sprung', 'w').close()\n")


def _when_running(host: Any, program: str) -> list[int]:
    """The launchers of the commands that run `program` in the container, once there is one."""

    def launchers() -> list[int]:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        found = [_parent(pid) for pid in pids if _runs(pid, program)]
        return [pid for pid in found if os.fsencode(host.paths.runtimes) in _command(pid)]

    return eventually(launchers)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _runs(pid: int, program: str) -> bool:
    return _command(pid).split(b"\0")[:2] == [program.encode(), b"999"] and _parent(pid) != 0


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
