# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart policies: who is started again, how often, and who stays down."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.runtime import restart

from .waiting import eventually, stays


def _lives(host: Any) -> int:
    return str(logs.output(logs.entries(host.paths, host.record().id), "stdout")).count("life")


@pytest.mark.parametrize(
    ("policy", "retries", "code", "lives"),
    [("no", 0, 1, 1), ("on-failure", 2, 1, 3), ("on-failure", 5, 0, 1)],
)
def test_how_often(host: Any, policy: str, retries: int, code: int, lives: int) -> None:
    host.container(command=["sh", "-c", f"echo life; exit {code}"], restart_policy=policy, restart_retries=retries)
    assert host.ended()["exit_code"] == code
    assert _lives(host) == lives
    assert facts(host.paths, host.record())["RestartCount"] == lives - 1
    host.absent("c")


def test_always_comes_back_with_its_limits_until_it_is_stopped(host: Any) -> None:
    task = {"command": ["sh", "-c", "echo life; exec sleep 1000"], "restart_policy": "always", "pids_limit": 10}
    host.container(**task)
    first = host.pid()
    eventually(lambda: _lives(host) == 1)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: host.pid() not in (0, first) and _lives(host) == 2)
    assert host.cgroup_file("c", "pids", "pids.max") == "10"
    assert not host.container(**task).plan
    assert host.exec("c", "true").rc == 0
    host.container(state="stopped")
    stays(lambda: host.pid() == 0, 0.5)
    assert _lives(host) == 2
    host.container(**task)
    assert host.pid()
    host.absent("c")


def test_stopped_while_it_waits_for_its_next_life(host: Any) -> None:
    host.container(command=["sh", "-c", "echo life; exit 1"], restart_policy="always")
    eventually(lambda: host.state().get("restart_count", 0) >= 3)
    assert facts(host.paths, host.record())["State"]["Status"] in ("restarting", "running")
    host.container(state="stopped")
    lives = _lives(host)
    stays(lambda: _lives(host) == lives)
    assert facts(host.paths, host.record())["State"]["Status"] == "exited"
    host.absent("c")


def test_removed_while_it_waits_for_its_next_life(host: Any) -> None:
    host.container(command="false", restart_policy="always")
    eventually(lambda: host.state().get("restart_count", 0) >= 2)
    host.absent("c")


def test_the_policy_changes_while_it_runs(host: Any) -> None:
    host.container(command="sleep 1000", restart_policy="always")
    pid = host.pid()
    assert "write-bundle" in [step.name for step in host.container(restart_policy="no").plan]
    assert host.pid() == pid
    os.kill(pid, signal.SIGKILL)
    host.ended()
    assert host.pid() == 0
    host.absent("c")


def test_the_pause_grows_to_a_minute() -> None:
    backoff = restart.Backoff()
    pauses = [backoff.pause() for _number in range(12)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 60.0


def test_a_log_without_a_limit_is_one_file(host: Any) -> None:
    host.container(command=["sh", "-c", "seq 1 5000; echo end; exec sleep 1000"], log_options={"max-size": "-1"})
    log = Path(host.paths.container(host.record().id, "log"))
    eventually(lambda: log.exists() and log.read_bytes().endswith(b" end\n"))
    assert sorted(path.name for path in log.parent.glob("log*")) == ["log"]
    host.absent("c")


def test_the_log_is_rotated(host: Any) -> None:
    """Three files by default; here two small ones, which hold the end of the output, in order."""
    host.container(
        command=["sh", "-c", "seq 1 5000; echo end; exec sleep 1000"], log_options={"max-size": "10K", "max-file": "2"}
    )
    entries = lambda: [entry.text for entry in logs.entries(host.paths, host.record().id)]  # noqa: E731
    eventually(lambda: entries()[-1:] == [b"end"])
    numbers = [int(text) for text in entries()[:-1]]
    assert numbers == list(range(numbers[0], 5001))
    names = [name for name in os.listdir(host.paths.container(host.record().id)) if name.startswith("log")]
    assert sorted(names) == ["log", "log.1"]
    host.absent("c")
