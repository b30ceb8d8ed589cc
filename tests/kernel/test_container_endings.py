# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses, containers that go when they end, and those that a task waits for."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import find, id_of
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import monitors
from ansible_collections.mini.containers.plugins.modules import mini_container

from .waiting import eventually


def _steps(outcome: Any) -> list[str]:
    return [step.name for step in outcome.plan]


def _gone(host: Any, name: str = "c") -> bool:
    return id_of(host.paths, name) is None


def _task(host: Any, **params: Any) -> tuple[dict[str, Any], list[str]]:
    """The module's work, without Ansible around it; what it wrote into Ansible's log beside it."""
    logged: list[str] = []
    defaults = {
        name: option.get("default") for name, option in mini_container.ARGUMENT_SPEC.items() if name != "state_root"
    }
    module = SimpleNamespace(
        params={**defaults, "name": "c", "image": "box", **params}, check_mode=False, _diff=False, log=logged.append
    )
    host._look()
    result = mini_container.work(module, host.paths)
    host._look()
    return result, logged


TICKER = ["sh", "-c", "while :; do echo x >> /ticks; sleep 0.02; done"]


def _ticks(host: Any) -> int:
    path = host.paths.container(host.record().id, "upper", "ticks")
    return os.path.getsize(path) if os.path.exists(path) else 0


def test_paused_and_on_again(host: Any) -> None:
    host.container(command=TICKER, stop_timeout=1)
    pid = host.pid()
    assert _steps(host.container(paused=True, check=True)) == ["pause"]
    assert _steps(host.container(paused=True)) == ["pause"]
    assert not host.container(paused=True).plan
    assert not host.container().plan
    found = facts(host.paths, host.record())["State"]
    assert (found["Status"], found["Paused"], found["Running"], found["Pid"]) == ("paused", True, True, pid)
    before = _ticks(host)
    time.sleep(0.3)
    assert _ticks(host) == before
    with pytest.raises(Conflict, match="is paused"):
        host.exec("c", "true")
    assert _steps(host.container(paused=False)) == ["unpause"]
    eventually(lambda: _ticks(host) > before)
    assert host.pid() == pid
    assert facts(host.paths, host.record())["State"]["Status"] == "running"
    host.absent("c")


def test_started_paused(host: Any) -> None:
    assert _steps(host.container(command=TICKER, paused=True))[-2:] == ["start", "pause"]
    assert _steps(host.container(paused=True, restart=True))[-2:] == ["start", "pause"]
    assert facts(host.paths, host.record())["State"]["Paused"]
    host.absent("c")


@pytest.mark.parametrize("state", ["stopped", "absent"])
def test_paused_ones_can_be_stopped(host: Any, state: str) -> None:
    """As others are: they hear the signal."""
    host.container(command=["sh", "-c", "trap 'exit 6' TERM; while :; do sleep 0.05; done"], stop_timeout=20)
    time.sleep(0.3)
    host.container(paused=True)
    began = time.monotonic()
    host.container(state=state)
    assert time.monotonic() - began < 15
    if state == "stopped":
        assert host.state()["exit_code"] == 6
    host.absent("c")


def test_paused_ones_can_be_killed_and_replaced(host: Any) -> None:
    host.container(paused=True, stop_timeout=60)
    host.container(command="sleep 999", force_kill=True)
    assert not facts(host.paths, host.record())["State"]["Paused"]
    host.container(paused=True)
    host.container(state="absent", force_kill=True)


def test_the_health_of_a_paused_container_is_not_checked(host: Any) -> None:
    host.container(healthcheck={"test": "true", "interval": "50ms", "timeout": "1s", "retries": 1})
    health = lambda: facts(host.paths, host.record())["State"]["Health"]  # noqa: E731
    eventually(lambda: health()["Status"] == "healthy")
    host.container(paused=True)
    time.sleep(0.5)
    before = health()["Log"][-1]["End"]
    time.sleep(1.5)
    assert health()["Log"][-1]["End"] == before
    host.container(paused=False)
    eventually(lambda: health()["Log"][-1]["End"] > before)
    assert health()["Status"] == "healthy"
    host.absent("c")


def test_removed_when_it_ends(host: Any) -> None:
    """With its network, its ports and its rules; the image's copy of the engine does it, not a task."""
    host.network()
    host.container(command="sleep 1", auto_remove=True, networks=[{"name": "lan"}], published_ports=["8080:80"])
    assert not _gone(host)
    eventually(lambda: _gone(host))
    eventually(lambda: [path for path in host.left() if "/network/" not in path] == [])
    host.no_network("lan")


def test_removed_when_it_is_killed_or_stopped(host: Any) -> None:
    host.container(auto_remove=True)
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: _gone(host))
    host.container(auto_remove=True)
    host.container(state="stopped")
    eventually(lambda: _gone(host))


def test_not_removed_by_a_restart_or_a_replacement(host: Any) -> None:
    host.container(auto_remove=True)
    first = host.record().id
    host.container(restart=True)
    assert host.record().id == first
    host.container(command="sleep 999")
    second = host.record().id
    assert host.pid()
    time.sleep(1)
    assert host.record().id == second
    assert host.pid()
    host.absent("c")


def test_removal_on_end_can_be_switched_while_it_runs(host: Any) -> None:
    host.container(auto_remove=True)
    pid = host.pid()
    host.container(auto_remove=False)
    assert host.pid() == pid
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: host.state().get("status") == "exited")
    time.sleep(1)
    assert not _gone(host)
    host.container(auto_remove=True)
    host.container(state="absent")
    host.container()
    host.container(auto_remove=True)
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: _gone(host))


def test_what_should_have_been_removed_is_by_the_next_task(host: Any) -> None:
    host.container(auto_remove=True)
    os.kill(host.state()["monitor"]["pid"], signal.SIGKILL)
    first = host.record().id
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: host.pid() == 0)
    assert _steps(host.container(image="box", command="sleep 1000", auto_remove=True))[0] == "remove"
    assert host.record().id != first
    host.absent("c")


def test_who_removes_leaves_the_place_of_the_monitors() -> None:
    """Else it would never be empty, and so would stay."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            monitors.move_in()
            inside = Path("/proc/self/cgroup").read_text().count(monitors.PATH)
            monitors.leave()
            left = Path("/proc/self/cgroup").read_text().count(monitors.PATH)
            code = 0 if inside and not left else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_removal_and_restart_exclude_each_other(host: Any) -> None:
    with pytest.raises(BadInput, match="auto_remove"):
        host.container(auto_remove=True, restart_policy="always")
    host.container(restart_policy="always")
    with pytest.raises(BadInput, match="auto_remove"):
        host.container(auto_remove=True)
    host.absent("c")


@pytest.mark.parametrize("option", [{"cleanup": True}, {"auto_remove": True}, {}])
def test_in_the_foreground(host: Any, option: dict[str, Any]) -> None:
    """Whoever waits gets everything, even from a container that is gone then."""
    script = "echo out; sleep 0.2; echo err >&2; sleep 0.2; seq 1 20000; exit 3"
    result, logged = _task(host, command=["sh", "-c", script], detach=False, output_logs=True, **option)
    assert (result["rc"], result["status"], result["failed"]) == (3, 3, True)
    numbers = "".join(f"{number}\n" for number in range(1, 20001))
    assert result["stdout"] == "out\n" + numbers
    assert result["stderr"] == "err\n"
    assert result["container"]["Output"] == "out\nerr\n" + numbers
    assert result["container"]["State"]["ExitCode"] == 3
    assert logged == [result["container"]["Output"]]
    assert _gone(host) == bool(option)
    host.absent("c")


def test_a_task_that_is_killed_while_it_waits(host: Any) -> None:
    """The container ends as it would have, and is removed as it was to be."""
    child = os.fork()
    if child == 0:
        try:
            _task(host, command="sleep 3", detach=False, auto_remove=True)
        finally:
            os._exit(0)
    eventually(lambda: find(host.paths, "c") and host.pid())  # the name is there before the record
    host._look()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    eventually(lambda: _gone(host))


def test_the_log_of_one_file_stays_small(host: Any) -> None:
    host.container(
        command=["sh", "-c", "seq 1 20000; echo end; exec sleep 1000"], log_options={"max-size": "10K", "max-file": "1"}
    )
    log = Path(host.paths.container(host.record().id, "log"))
    eventually(lambda: b" end\n" in log.read_bytes())
    assert log.stat().st_size <= 10240
    assert not log.with_name("log.1").exists()
    host.absent("c")
