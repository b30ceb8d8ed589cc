# SPDX-License-Identifier: GPL-3.0-or-later
"""The door of a container's monitor: who gets what is asked for there, who does not, and what is done without it."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine import door, runtime
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import joint
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.execute import Talk
from ansible_collections.mini.containers.plugins.module_utils.linux import libc

from .forking import in_a_process
from .waiting import eventually

NOBODY = 65534


@pytest.fixture
def running(host: Any) -> Iterator[Any]:
    """A container, and nobody but its first process with its monitor any more."""
    host.container()
    eventually(lambda: len(_children(_monitor(host))) == 1)
    yield host
    host.absent("c")


def _monitor(host: Any) -> int:
    return int(host.state()["monitor"]["pid"])


def _children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def _no_launcher(*_arguments: Any) -> None:
    pytest.fail("a launcher was started")


def test_no_interpreter_is_started(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_launch", _no_launcher)
    done = running.exec("c", "sh", "-c", "cat; echo oops >&2; exit 3", talk=Talk(stdin=b"in\n" * 100_000))
    assert (done.rc, done.stdout, done.stderr) == (3, b"in\n" * 100_000, b"oops\n")
    assert running.exec("c", "sh", "-c", "tty; exit 4", talk=Talk(tty=True))[:2] == (4, b"/dev/pts/0\r\n")
    assert running.exec("c", "sh", "-c", "echo > /tmp/detached", talk=Talk(detach=True)).rc == 0
    eventually(lambda: running.exec("c", "test", "-e", "/tmp/detached").rc == 0)
    large = {f"V{number}": "x" * 1000 for number in range(500)}
    assert running.exec("c", "sh", "-c", "echo ${#V499}", env=large).stdout == b"1000\n"


def test_hundreds_leave_nothing_with_the_monitor(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process, no descriptor, no memory."""
    monkeypatch.setattr(runtime, "_launch", _no_launcher)
    pid = _monitor(running)
    for _turn in range(20):
        running.exec("c", "true")
    eventually(lambda: len(_children(pid)) == 1)
    before = _held(pid)
    for turn in range(300):
        assert running.exec("c", "sh", "-c", f"exit {turn % 50}").rc == turn % 50
    eventually(lambda: _held(pid)[:2] == before[:2])
    assert _held(pid)[2] - before[2] < 128


def _held(pid: int) -> tuple[set[int], int, int]:
    """Children, descriptors, and KiB of memory of its own."""
    sizes = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    own = sum(int(size) for name, size, *_unit in sizes if name.startswith("Private_"))
    return _children(pid), len(os.listdir(f"/proc/{pid}/fd")), own


def test_a_monitor_that_is_stopped_is_done_without_and_does_nothing_twice(running: Any) -> None:
    pid = _monitor(running)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert running.exec("c", "sh", "-c", "echo x >> /tmp/runs").rc == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: len(_children(pid)) == 1)
    assert running.exec("c", "cat", "/tmp/runs").stdout == b"x\n"


def test_a_monitor_that_is_dead_is_done_without_until_another_has_a_door(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = _monitor(running)
    os.kill(pid, signal.SIGKILL)
    assert running.exec("c", "echo", "yes").stdout == b"yes\n"
    assert [step.name for step in running.container().plan] == ["adopt"]
    monkeypatch.setattr(runtime, "_launch", _no_launcher)
    assert running.exec("c", "echo", "again").stdout == b"again\n"


def test_a_monitor_of_another_version_is_not_asked(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_door", lambda: "door.0123456789abcdef")
    assert running.exec("c", "echo", "yes").stdout == b"yes\n"


def test_a_task_in_another_namespace_starts_from_there(running: Any) -> None:
    """Its host's network is the one that it sees itself."""
    known = runtime._door()
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc.unshare(libc.CLONE_NEWNET)
    try:
        assert runtime._door() != known
        running.container("d", network_mode="host")
        assert os.readlink(f"/proc/{running.pid('d')}/ns/net") == os.readlink("/proc/thread-self/ns/net")
        running.absent("d")
    finally:
        libc.setns(home, libc.CLONE_NEWNET)
        os.close(home)


def _knock(directory: str, shown: str, become: Callable[[], object] = lambda: None) -> bool:
    """Whether the door opens for a process that has become somebody else and shows the file `shown`."""
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    (name,) = [name for name in os.listdir(directory) if name.startswith("door.")]
    fds = [os.open(shown, os.O_RDONLY), os.open("/dev/null", os.O_WRONLY)]
    child = os.fork()
    if child == 0:
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            become()
            os.fchdir(place)
            connection.connect(name)
            socket.send_fds(connection, [b"\0"], [*fds, fds[1], fds[1]])
            os._exit(0 if connection.recv(1) else 1)
        finally:
            os._exit(2)
    for fd in (place, *fds):
        os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code != 2, "it did not get as far as the door"
    return code == 0


def test_only_root_of_the_host_is_let_in(running: Any) -> None:
    """Nobody else, and nobody in a container, even if it were given the socket."""
    directory = running.paths.run(running.record().id)
    (path,) = Path(directory).glob("door.*")
    assert path.stat().st_mode & 0o777 == 0o600
    host, inside = "/proc/self/ns/mnt", f"/proc/{running.pid()}/ns/mnt"
    assert _knock(directory, host)
    assert not _knock(directory, inside, lambda: _enter(running.pid()))
    assert not _knock(directory, "/dev/null")
    Path(directory).chmod(0o711)
    path.chmod(0o666)
    assert not _knock(directory, host, lambda: os.setresuid(NOBODY, NOBODY, NOBODY))
    eventually(lambda: len(_children(_monitor(running))) == 1)


def _enter(pid: int) -> None:
    libc.setns(libc.pidfd_open(pid), libc.CLONE_NEWNS | libc.CLONE_NEWUTS | libc.CLONE_NEWIPC)


def test_a_caller_that_is_killed_takes_the_terminal_along(running: Any) -> None:
    pid = _monitor(running)
    init = _children(pid)
    caller = os.fork()
    if caller == 0:
        try:
            running.exec("c", "sleep", "999", talk=Talk(tty=True))
        finally:
            os._exit(0)
    eventually(lambda: b"sleep 999" in running.exec("c", "ps").stdout)
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)
    eventually(lambda: b"sleep 999" not in running.exec("c", "ps").stdout)
    eventually(lambda: _children(pid) == init)


def test_a_request_that_ends_late_is_answered(running: Any) -> None:
    """The kernel tells of its end by a signal that may come when the request was read already."""
    path = running.paths.run(running.record().id, runtime._door())
    request = {"verb": "exec", "bundle": running.paths.container(running.record().id), "detach": False}
    process = {**json.loads(Path(request["bundle"], "config.json").read_text())["process"]}
    process["args"] = ["sh", "-c", "touch /tmp/runs; sleep 0.3; exit 7"]
    visit = door.knock(path, [])
    assert visit

    def end_again() -> None:
        eventually(lambda: running.exec("c", "test", "-e", "/tmp/runs").rc == 0)
        visit._connection.shutdown(socket.SHUT_WR)

    assert visit.ask({**request, "process": process}, end_again)[0]["code"] == 7


def test_a_caller_that_says_nothing_keeps_nobody_waiting(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_launch", _no_launcher)
    path = running.paths.run(running.record().id, runtime._door())
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _number in range(20)]
    for connection in silent:
        door.connect(connection, path)
    assert running.exec("c", "echo", "yes").stdout == b"yes\n"
    # Nor is a place kept for it, of which there are only so many.
    eventually(lambda: len(_children(_monitor(running))) == 1)
    for connection in silent:
        connection.close()


def _front(host: Any) -> str:
    return os.readlink(os.path.join(host.paths.run_root, runtime._door()))


def test_the_next_container_needs_no_interpreter_either(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitors of all are where monitors belong, independent of the first, at whose door they were asked for."""
    front = _front(running)
    assert running.record().id in front
    monkeypatch.setattr(runtime, "_launch", _no_launcher)
    running.container("d", restart_policy="always")
    running.container("e", command="no-such-program", state="present")
    with pytest.raises(MiniError, match="no-such-program"):
        running.container("e", command="no-such-program")
    assert _front(running) == front
    assert _parent(int(running.state("d")["monitor"]["pid"])) != _monitor(running)
    assert _cgroups(int(running.state("d")["monitor"]["pid"])) == _cgroups(_monitor(running))
    os.kill(_monitor(running), signal.SIGKILL)
    assert running.exec("d", "echo", "yes").stdout == b"yes\n"
    before = running.pid("d")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: running.pid("d") not in (0, before))
    monkeypatch.undo()
    running.container("f")
    assert running.record("f").id in _front(running), "a launcher was needed"
    running.absent("d", "e", "f")
    assert not os.path.lexists(os.path.join(running.paths.run_root, runtime._door()))


@pytest.mark.parametrize("begins", ["reserve-name", "write-bundle", "start"])
def test_who_is_called_early_and_not_needed_goes_away(running: Any, begins: str) -> None:
    """A start's child is there from the first step on. The task fails, or is killed: nothing of it is left."""

    def fails(event: str, step: Step) -> None:
        if (event, step.name) == ("begin", begins):
            assert len(_children(_monitor(running))) == 2, "the container, and who was called"
            raise OSError("not this time")

    def dies(event: str, step: Step) -> None:
        if (event, step.name) == ("begin", begins):
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(MiniError, match="not this time"):
        running.container("d", observer=fails)
    eventually(lambda: len(_children(_monitor(running))) == 1)
    child = in_a_process(lambda: running.container("d", observer=dies))
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    eventually(lambda: len(_children(_monitor(running))) == 1)
    running.container("d")
    running.absent("d")


def test_peers_are_told_while_a_container_starts(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong meanwhile takes the start back, when it is over."""

    def full(*_arguments: object) -> None:
        raise OSError("no room for a hosts file")

    monkeypatch.setattr(joint, "_tell_peers", full)
    with pytest.raises(MiniError, match="no room for a hosts file"):
        running.container("d")
    assert len(os.listdir(running.paths.containers)) == 1
    monkeypatch.undo()
    running.container("d")
    assert running.pid("d")
    running.absent("d")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _cgroups(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()
