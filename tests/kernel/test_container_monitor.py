# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor: it is killed, it is told of changes, its code is replaced; the container knows nothing of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts

from .waiting import eventually, stays


def _kill_monitor(host: Any) -> int:
    """Kill it, wait until it is dead, and tell who it was."""
    pid = int(host.state()["monitor"]["pid"])
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: _dead(pid))
    return pid


def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _numbers(host: Any) -> list[int]:
    entries = logs.entries(host.paths, host.record().id)
    return [int(entry.text) for entry in entries if entry.whole and entry.text.isdigit()]


def _steps(outcome: Any) -> list[str]:
    return [step.name for step in outcome.plan]


WRITER = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo $i; done; exec sleep 1000"


def test_killed_while_the_container_writes_without_end(host: Any) -> None:
    """Nothing of it breaks: it waits when the pipe is full, and goes on when the next task has adopted it."""
    host.container(command=["sh", "-c", WRITER])
    init = host.pid()
    eventually(lambda: len(_numbers(host)) > 100)
    old = _kill_monitor(host)
    stays(lambda: host.pid() == init, 0.5)
    assert "monitor is dead" in facts(host.paths, host.record())["State"]["Error"]
    assert _steps(host.container(check=True)) == ["adopt"]
    assert _steps(host.container()) == ["adopt"]
    assert host.pid() == init
    assert host.state()["monitor"]["pid"] != old
    assert not host.container().plan
    assert not facts(host.paths, host.record())["State"]["Error"]
    eventually(lambda: _numbers(host)[-1:] == [60000], 180)
    found = _numbers(host)
    assert found == sorted(set(found))
    # What the dead monitor had read and not yet written is all that may be missing: one read of 64 KiB.
    assert 60000 - len(found) < 65536 / 2
    host.absent("c")


def test_an_adopted_container_is_watched_to_its_end(host: Any) -> None:
    host.container(command=["sh", "-c", "while [ ! -e /stop ]; do sleep 0.05; done; echo last; exit 7"])
    _kill_monitor(host)
    host.container()
    host.exec("c", "touch", "/stop")
    assert host.ended()["exit_code"] in (7, None)
    if _kernel() >= (6, 15):
        assert host.state()["exit_code"] == 7
    found = facts(host.paths, host.record())["State"]
    assert found["ExitCode"] in (7, -1)
    assert (found["ExitCode"] == -1) == ("unknown" in found["Error"])
    assert logs.output(logs.entries(host.paths, host.record().id), "stdout") == "last\n"
    host.absent("c")


def _kernel() -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def test_an_adopted_container_is_restarted_as_its_policy_says(host: Any) -> None:
    def said() -> str:
        return logs.output(logs.entries(host.paths, host.record().id), "stdout")

    host.container(command=["sh", "-c", "echo life; exec sleep 1000"], restart_policy="always")
    eventually(lambda: said() == "life\n")  # what a monitor was just reading goes with it
    _kill_monitor(host)
    host.container()
    first = host.pid()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: host.pid() not in (0, first))
    assert host.state()["restart_count"] == 1
    eventually(lambda: said() == "life\nlife\n")
    second = host.pid()
    stays(lambda: host.pid() == second, 0.5)
    host.absent("c")


def test_stopped_without_a_monitor(host: Any) -> None:
    """Who stops it writes down how it ended."""
    script = "trap 'exit 5' TERM; touch /ready; while :; do sleep 0.05; done"
    host.container(command=["sh", "-c", script], stop_timeout=60)
    eventually(lambda: host.exec("c", "test", "-e", "/ready").rc == 0)
    _kill_monitor(host)
    assert _steps(host.container(state="stopped")) == ["stop"]
    found = facts(host.paths, host.record())["State"]
    assert found["Status"] == "exited"
    assert found["ExitCode"] in (5, -1)
    assert found["FinishedAt"] > found["StartedAt"]
    assert not host.container(state="stopped").plan
    host.absent("c")


@pytest.mark.parametrize(("policy", "wanted"), [("no", "started"), ("always", "started"), ("always", "stopped")])
def test_a_task_between_an_end_and_the_monitors_word_on_it(host: Any, policy: str, wanted: str) -> None:
    """It waits: else there would be a life too many, or one that the old monitor writes over."""
    host.container(restart_policy=policy)
    init, monitor = host.pid(), host.state()["monitor"]["pid"]
    os.kill(monitor, signal.SIGSTOP)
    os.kill(init, signal.SIGKILL)
    eventually(lambda: host.pid() == 0)
    task = os.fork()
    if task == 0:
        try:
            host.container(state=wanted)
        finally:
            os._exit(0)
    stays(lambda: os.waitpid(task, os.WNOHANG) == (0, 0))
    os.kill(monitor, signal.SIGCONT)
    os.waitpid(task, 0)
    if wanted == "started":
        assert eventually(host.pid) != init
        eventually(lambda: len(host.processes()) == 1)
    else:
        assert (host.pid(), host.state()["exit_code"]) == (0, 137)
        eventually(lambda: not host.processes())
        stays(lambda: not host.processes())
    assert not host.container(state=wanted).plan
    host.absent("c")


def test_ended_without_a_monitor(host: Any) -> None:
    """Nobody was there: the exit code is unknown, and that is said."""
    host.container()
    _kill_monitor(host)
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: host.pid() == 0)
    found = facts(host.paths, host.record())["State"]
    assert (found["Status"], found["ExitCode"]) == ("exited", -1)
    assert "unknown" in found["Error"]
    assert "start" in _steps(host.container())
    host.absent("c")


def test_killed_while_it_waits_for_the_next_life(host: Any) -> None:
    host.container(command=["sh", "-c", "[ -e /ok ] && exec sleep 1000; exit 1"], restart_policy="always")
    eventually(lambda: host.state().get("restart_count", 0) >= 3)
    _kill_monitor(host)
    Path(host.paths.container(host.record().id, "upper", "ok")).touch()
    host.container()
    eventually(host.pid)
    host.absent("c")


def test_the_container_cannot_point_its_next_monitor_elsewhere(host: Any, tmp_path: Path) -> None:
    """The streams are found by the pipes' identity, whatever stands at the descriptors of the first process."""
    script = "sh -c '{}' & exec >/etc/passwd 2>&1; exec sleep 1000".format(
        "echo early; until [ -e /go ]; do sleep 0.05; done; echo late; exec sleep 1000"
    )
    host.container(command=["sh", "-c", script])
    eventually(lambda: "early" in logs.output(logs.entries(host.paths, host.record().id), "stdout"))
    _kill_monitor(host)
    host.container()
    host.exec("c", "touch", "/go")
    eventually(lambda: logs.output(logs.entries(host.paths, host.record().id), "stdout") == "early\nlate\n")
    host.absent("c")


def test_it_lives_without_its_code(host: Any) -> None:
    """The directory may be replaced by a newer version while it runs."""
    host.container(command=["sh", "-c", "echo life; exec sleep 1000"], restart_policy="always")
    shutil.rmtree(host.paths.runtimes)
    first = host.pid()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: host.pid() not in (0, first))
    host.container(restart_policy="no", log_options={"max-size": "1M"})
    os.kill(host.pid(), signal.SIGKILL)
    assert host.ended()["exit_code"] == 137
    host.absent("c")


def test_log_options_change_while_it_runs(host: Any) -> None:
    host.container(command=["sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; seq 1 5000; exec sleep 1000"])
    init = host.pid()
    task = {"log_options": {"max-size": "10K", "max-file": "2"}}
    assert _steps(host.container(**task)) == ["write-bundle", "reload", "write-record"]
    assert host.pid() == init
    assert not host.container(**task).plan
    host.exec("c", "touch", "/go")
    eventually(lambda: _numbers(host)[-1:] == [5000])
    names = [name for name in os.listdir(host.paths.container(host.record().id)) if name.startswith("log")]
    assert sorted(names) == ["log", "log.1"]
    host.container(log_options={"max-size": "10K", "max-file": "1"})
    host.absent("c")


def test_without_a_log_output_is_read_all_the_same(host: Any) -> None:
    """More than fits into a pipe, or who writes would stand still; by the next monitor, too."""
    command = "head -c 300000 /dev/zero; touch /written; while [ ! -e /go ]; do sleep 0.05; done; "
    command += "head -c 300000 /dev/zero; touch /again; exec sleep 1000"
    host.container(command=["sh", "-c", command], log_driver="none")
    eventually(lambda: host.exec("c", "ls", "/written").rc == 0)
    _kill_monitor(host)
    assert _steps(host.container()) == ["adopt"]
    host.exec("c", "touch", "/go")
    eventually(lambda: host.exec("c", "ls", "/again").rc == 0)
    assert not [name for name in os.listdir(host.paths.container(host.record().id)) if name.startswith("log")]
    assert list(logs.entries(host.paths, host.record().id)) == []
    shown = facts(host.paths, host.record())
    assert (shown["HostConfig"]["LogConfig"], shown["LogPath"]) == ({"Type": "none", "Config": {}}, "")
    host.absent("c")


def test_without_a_log_there_is_an_exit_code_and_no_output(host: Any) -> None:
    for tty in (False, True):
        ended = host.run(["sh", "-c", "echo out; exit 3"], log_driver="none", tty=tty)
        assert (ended.rc, ended.output) == (3, "")


def test_a_monitor_that_missed_a_change_is_told_again(host: Any) -> None:
    """As after a crash between the bundle and the signal."""
    host.container()
    os.utime(Path(host.paths.container(host.record().id), "config.json"))
    assert _steps(host.container()) == ["reload"]
    assert not host.container().plan
    host.absent("c")


def test_a_container_that_ran_out_of_memory_says_so(host: Any) -> None:
    host.container(command=["sh", "-c", "tail /dev/zero"], memory="16M", memory_swap="16M")
    host.ended()
    found = facts(host.paths, host.record())
    assert found["State"]["OOMKilled"] is True
    assert found["State"]["StartedAt"] < found["State"]["FinishedAt"]
    host.absent("c")
