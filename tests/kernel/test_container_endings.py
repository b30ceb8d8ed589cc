# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses, containers that go when they end, and those that a task waits for."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import find, id_of
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import monitors
from ansible_collections.mini.containers.plugins.modules import mini_container

from .waiting import eventually, stays


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


UNTIL_GO = ["sh", "-c", "until [ -e /go ]; do sleep 0.05; done"]
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
    stays(lambda: _ticks(host) == before, 0.3)
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
def test_paused_ones_can_be_stopped(host: Any, tmp_path: Path, state: str) -> None:
    """As others are: they hear the signal."""
    script = "trap 'touch /out/heard; exit 6' TERM; touch /out/ready; while :; do sleep 0.05; done"
    (tmp_path / "out").mkdir()
    host.container(command=["sh", "-c", script], stop_timeout=60, volumes=[f"{tmp_path}/out:/out"])
    eventually((tmp_path / "out" / "ready").exists)
    host.container(paused=True)
    host.container(state=state)
    assert (tmp_path / "out" / "heard").exists()
    if state == "stopped":
        assert host.state()["exit_code"] == 6
    host.absent("c")


def test_paused_ones_can_be_killed_and_replaced(host: Any) -> None:
    host.container(paused=True, stop_timeout=60)
    host.container(command="sleep 999", force_kill=True)
    assert not facts(host.paths, host.record())["State"]["Paused"]
    host.container(paused=True)
    host.container(state="absent", force_kill=True)


def test_the_health_of_a_paused_container_is_not_checked(host: Any, tmp_path: Path) -> None:
    """And the probe that it was paused in is not blamed: a time in which nothing of it runs is not its own."""
    script = "[ ! -e /out/hold ] || { touch /out/held; while [ -e /out/hold ]; do sleep 0.05; done; }"
    out = tmp_path / "out"
    out.mkdir()
    check = {"test": script, "interval": "50ms", "timeout": "4s", "retries": 1}
    host.container(healthcheck=check, volumes=[f"{out}:/out"])
    health = lambda: facts(host.paths, host.record())["State"]["Health"]  # noqa: E731
    eventually(lambda: health()["Status"] == "healthy")
    (out / "hold").touch()
    eventually((out / "held").exists)
    host.container(paused=True)
    before = health()["Log"][-1]["End"]
    stays(lambda: health()["Log"][-1]["End"] == before, 5)
    (out / "hold").unlink()
    host.container(paused=False)
    found = eventually(lambda: [one for one in health()["Log"] if one["End"] > before])
    assert {one["ExitCode"] for one in found} == {0}
    assert health()["Status"] == "healthy"
    host.absent("c")


def test_removed_when_it_ends(host: Any) -> None:
    """With its network, its ports and its rules; the image's copy of the engine does it, not a task."""
    host.network()
    host.container(command=UNTIL_GO, auto_remove=True, networks=[{"name": "lan"}], published_ports=["8080:80"])
    assert not _gone(host)
    host.exec("c", "touch", "/go")
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
    stays(lambda: host.record().id == second and host.pid())
    host.absent("c")


def test_removal_on_end_can_be_switched_while_it_runs(host: Any) -> None:
    host.container(auto_remove=True)
    pid = host.pid()
    host.container(auto_remove=False)
    assert host.pid() == pid
    os.kill(pid, signal.SIGKILL)
    host.ended()
    stays(lambda: not _gone(host))
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
    again = {"image": "box", "command": "sleep 1000", "stop_timeout": 0, "auto_remove": True}
    assert _steps(host.container(**again))[0] == "remove"
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
    both = result["container"]["Output"]
    assert both.replace("err\n", "", 1) == "out\n" + numbers, "each as a whole, in the order in which they were read"
    assert result["container"]["State"]["ExitCode"] == 3
    assert logged == [both]
    assert _gone(host) == bool(option)
    host.absent("c")


def test_a_task_that_is_killed_while_it_waits(host: Any) -> None:
    """The container ends as it would have, and is removed as it was to be."""
    child = os.fork()
    if child == 0:
        try:
            _task(host, command=UNTIL_GO, detach=False, auto_remove=True)
        finally:
            os._exit(0)
    eventually(lambda: find(host.paths, "c") and host.pid())  # the name is there before the record
    host._look()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    host.exec("c", "touch", "/go")
    eventually(lambda: _gone(host))


def test_the_log_of_one_file_stays_small(host: Any) -> None:
    host.container(
        command=["sh", "-c", "seq 1 20000; echo end; exec sleep 1000"], log_options={"max-size": "10K", "max-file": "1"}
    )
    log = Path(host.paths.container(host.record().id, "log"))
    eventually(lambda: [entry.text for entry in logs.entries(host.paths, host.record().id)][-1:] == [b"end"])
    assert log.stat().st_size <= 10240
    assert not log.with_name("log.1").exists()
    host.absent("c")
