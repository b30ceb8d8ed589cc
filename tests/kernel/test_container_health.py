# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks: when they run, as whom, what they find, and what they leave (nothing)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.waiting import wait_healthy
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .waiting import PATIENCE, eventually, stays


def _check(test: Any, **more: Any) -> dict[str, Any]:
    return {"test": test, "interval": "100ms", "timeout": "20s", **more}


def _health(host: Any) -> dict[str, Any]:
    found = facts(host.paths, host.record())["State"].get("Health", {})
    return dict(found)


def _status(host: Any) -> str:
    return str(_health(host).get("Status"))


def test_from_starting_to_healthy_to_unhealthy_and_back(host: Any) -> None:
    check = _check("cat /well", retries=2, start_period="1h", start_interval="100ms")
    host.container(healthcheck=check)
    assert _status(host) == "starting"
    host.exec("c", "touch", "/well")
    eventually(lambda: _status(host) == "healthy")
    host.exec("c", "rm", "/well")
    eventually(lambda: _status(host) == "unhealthy")
    found = _health(host)
    assert found["FailingStreak"] >= 2
    assert found["Log"][-1]["ExitCode"] == 1
    assert "No such file" in found["Log"][-1]["Output"]
    assert found["Log"][-1]["Start"] <= found["Log"][-1]["End"]
    host.exec("c", "touch", "/well")
    eventually(lambda: _status(host) == "healthy")
    eventually(lambda: len(_health(host)["Log"]) == 5)
    assert not host.container(healthcheck=check).plan
    host.container(state="stopped")
    assert _status(host) == "unhealthy"
    host.absent("c")


def test_a_probe_is_as_confined_as_the_container(host: Any) -> None:
    """Its user, environment, limits, capabilities, filter, working directory and cgroup."""
    script = "id -u; pwd; echo $WHO; ulimit -n; grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status; exit 0"
    options = {
        "user": "alice",
        "env": {"WHO": "me"},
        "working_dir": "/tmp",
        "ulimits": ["nofile:100:200"],
        "cap_drop": ["ALL"],
        "no_new_privs": True,
    }
    host.container(healthcheck=_check(["CMD", "sh", "-c", script]), **options)
    eventually(lambda: _status(host) == "healthy")
    output = _health(host)["Log"][-1]["Output"].split("\n")
    assert output[:4] == ["1000", "/tmp", "me", "100"]
    text = " ".join(" ".join(output).split())
    assert "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2" in text
    host.absent("c")


@pytest.mark.parametrize(
    "options",
    [
        {"userns_mode": "private", "user": "alice"},
        {"pid_mode": "host"},
        {"cgroupns_mode": "host"},
        {"network_mode": "host"},
        {"privileged": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_in_whatever_namespaces_the_container_is(host: Any, options: dict[str, Any]) -> None:
    """Also with a second monitor; and what a probe leaves behind ends with it."""
    script = "id -u; cat /proc/self/uid_map; (setsid sleep 4433 &)"
    host.container(healthcheck=_check(script), **options)
    eventually(lambda: _status(host) == "healthy")
    shown = _health(host)["Log"][-1]["Output"].split()
    assert shown[0] == ("1000" if "user" in options else "0")
    assert (shown[2] != "0") == ("userns_mode" in options)
    monitor = state.process(host.state(), "monitor")
    assert monitor
    monitor.signal(signal.SIGKILL)
    assert monitor.wait(PATIENCE)
    host.container()
    before = _health(host)["Log"][-1]["Start"]
    eventually(lambda: _health(host)["Log"][-1]["Start"] > before)
    host.absent("c")
    eventually(lambda: not _everywhere(b"sleep\0004433"))


def _everywhere(command: bytes) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(command):
                found.append(path.parent.name)
    return found


def test_the_first_processes_are_seen_by_a_probe(host: Any) -> None:
    """It is in the same pid namespace, and in the container's cgroup."""
    host.container(healthcheck=_check(["CMD-SHELL", "kill -0 1 && cat /proc/self/cgroup"]))
    eventually(lambda: _status(host) == "healthy")
    lines = [line.split(":", 2) for line in _health(host)["Log"][-1]["Output"].split()]
    assert {path for _number, _names, path in lines} <= {"/", "/health"}
    host.absent("c")


def test_a_hanging_probe_is_killed_with_all_its_children(host: Any) -> None:
    """Also those that have left its session, ignore signals, or still write."""
    script = "trap '' TERM HUP INT; echo begun; (setsid sleep 777 &) ; (sleep 778 &) ; sleep 779"
    host.container(healthcheck=_check(script, timeout="1s", retries=1))
    eventually(lambda: _status(host) == "unhealthy")
    late = "Health check exceeded timeout (1s): begun"
    assert {one["ExitCode"] for one in _health(host)["Log"]} == {-1}
    eventually(lambda: any(one["Output"].startswith(late) for one in _health(host)["Log"]))
    host.container(healthcheck={"test": ["NONE"]})
    eventually(lambda: _sleepers(host) == 0)
    assert "Health" not in facts(host.paths, host.record())["State"]
    host.absent("c")


def _sleepers(host: Any) -> int:
    found = host.exec("c", "sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
    return sum(found.count(b"sleep 77%d" % number) for number in (7, 8, 9))


def test_hundreds_of_probes_leave_nothing(host: Any) -> None:
    """No process, no descriptor, no memory: each leaves something running behind.

    What is killed is reaped by the container's first process, if that reaps at all.
    """
    script = "echo x >> /count; (setsid sleep 555 &)"
    reaper = ["sh", "-c", "while :; do sleep 0.2; done"]
    host.container(command=reaper, healthcheck={"test": script, "interval": "10ms"})
    eventually(lambda: _lines(host) >= 20)
    monitor = host.state()["monitor"]["pid"]
    descriptors, memory = _descriptors(monitor), _memory(monitor)
    eventually(lambda: _lines(host) >= 300, 600)
    eventually(lambda: _descriptors(monitor) <= descriptors)
    eventually(lambda: _memory(monitor) < memory + 1000)
    host.container(healthcheck={"test": "NONE"})
    eventually(lambda: len(host.exec("c", "ps").stdout.splitlines()) <= 4)
    host.absent("c")


def _lines(host: Any) -> int:
    return len(host.exec("c", "cat", "/count").stdout.splitlines())


def _descriptors(pid: int) -> int:
    """How many it holds between two probes: the fewest of many looks."""

    def look() -> int:
        time.sleep(0.005)
        return len(os.listdir(f"/proc/{pid}/fd"))

    return min(look() for _ in range(100))


def _memory(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Rss:"))


def test_a_probe_that_writes_without_end(host: Any) -> None:
    host.container(healthcheck=_check("cat /dev/zero", timeout="1s", retries=1))
    eventually(lambda: _status(host) == "unhealthy")
    assert len(_health(host)["Log"][-1]["Output"]) < 4096 + 100
    host.absent("c")


def test_a_probe_that_cannot_be_run(host: Any) -> None:
    host.container(healthcheck=_check(["CMD", "nothing"], retries=1))
    eventually(lambda: _status(host) == "unhealthy")
    assert _health(host)["Log"][-1]["ExitCode"] == -1
    assert "exec: No such file" in _health(host)["Log"][-1]["Output"]
    host.absent("c")


def test_failures_do_not_count_in_the_start_period(host: Any) -> None:
    check = {"test": "false", "interval": "30s", "start_period": "30s", "start_interval": "50ms", "retries": 1}
    host.container(healthcheck=check)
    eventually(lambda: len(_health(host)["Log"]) == 5)
    assert (_status(host), _health(host)["FailingStreak"]) == ("starting", 0)
    host.absent("c")


def test_it_changes_while_the_container_runs(host: Any) -> None:
    host.container()
    pid = host.pid()
    names = [step.name for step in host.container(healthcheck=_check("true")).plan]
    assert names == ["write-bundle", "reload", "write-record"]
    eventually(lambda: _status(host) == "healthy")
    host.container(healthcheck=_check("false", retries=1))
    assert _status(host) != "healthy"
    eventually(lambda: _status(host) == "unhealthy")
    assert host.pid() == pid
    host.absent("c")


def test_health_goes_on_with_another_monitor(host: Any) -> None:
    """A probe that hung with the old one is gone; what the old one knew is kept."""
    host.container(healthcheck=_check("[ -e /hang ] && sleep 777; true"))
    eventually(lambda: _status(host) == "healthy")
    host.exec("c", "touch", "/hang")
    eventually(lambda: _sleepers(host) > 0)
    os.kill(host.state()["monitor"]["pid"], signal.SIGKILL)
    host.exec("c", "rm", "/hang")
    eventually(lambda: [step.name for step in host.container().plan] == ["adopt"])
    assert _status(host) == "healthy"
    eventually(lambda: _sleepers(host) == 0)
    before = _health(host)["Log"][-1]["Start"]
    eventually(lambda: _health(host)["Log"][-1]["Start"] > before)
    host.absent("c")


def _wait(host: Any, record: Any, seconds: float = PATIENCE) -> None:
    (failed,) = wait_healthy(host.paths, [(record, seconds)])
    if failed:
        raise failed


def test_healthy_waits(host: Any) -> None:
    outcome = host.container(
        state="healthy", healthcheck=_check("[ -e /ok ]"), command="sh -c 'sleep 1; >/ok; sleep 99'"
    )
    _wait(host, outcome.record)
    assert _status(host) == "healthy"
    assert not host.container(state="healthy").plan
    host.absent("c")


def test_healthy_fails_when_the_container_ends(host: Any) -> None:
    command = ["sh", "-c", "until [ -e /go ]; do sleep 0.05; done; exit 3"]
    host.container(healthcheck=_check("echo not yet; false", interval="50ms"), command=command)
    eventually(lambda: _health(host)["Log"])
    host.exec("c", "touch", "/go")
    with pytest.raises(StepFailed, match="it ended with exit code 3; the last probe ended with 1: not yet"):
        _wait(host, host.record())
    host.absent("c")


def test_healthy_waits_for_the_next_life(host: Any) -> None:
    """Also between an end and the monitor's word on it: only that says whether there is a next one."""
    outcome = host.container(healthcheck=_check("[ -e /ok ]"), restart_policy="always")
    monitor, init = host.state()["monitor"]["pid"], host.pid()
    os.kill(monitor, signal.SIGSTOP)
    os.kill(init, signal.SIGKILL)
    eventually(lambda: host.pid() == 0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _wait(host, outcome.record)
            code = 0
        finally:
            os._exit(code)
    stays(lambda: os.waitpid(child, os.WNOHANG) == (0, 0))
    os.kill(monitor, signal.SIGCONT)
    eventually(lambda: host.pid() not in (0, init))
    host.exec("c", "touch", "/ok")
    assert os.waitpid(child, 0)[1] == 0
    host.absent("c")


def test_healthy_fails_when_the_time_is_over(host: Any) -> None:
    host.container(healthcheck=_check("echo no; exit 4"))
    eventually(lambda: _health(host)["Log"])
    with pytest.raises(StepFailed, match="in 1 s: it is .*the last probe ended with 4: no"):
        _wait(host, host.record(), 1)
    host.absent("c")


def test_who_has_no_health_check_cannot_become_healthy(host: Any) -> None:
    with pytest.raises(BadInput, match="has no health check"):
        host.container(state="healthy")
    assert host.left() == []
    with pytest.raises(BadInput, match="has no test"):
        host.container(healthcheck={"interval": "1s"})


def test_a_replacement_that_does_not_become_healthy_brings_the_old_one_back(host: Any) -> None:
    task = {"state": "healthy", "healthcheck": _check("[ -e /ok ]"), "healthy_wait_timeout": 2.0}
    good = "sh -c '>/ok; sleep 1000'"
    _wait(host, host.container(**task, command=good).record)
    before = host.record().id
    with pytest.raises(StepFailed, match="did not become healthy"):
        host.container(**task, command="sleep 999")
    assert host.record().id == before
    assert host.pid()
    assert not host.container(**task, command=good).plan
    host.absent("c")


@pytest.mark.parametrize(
    ("check", "text"),
    [
        ({"test": ["RUN", "x"]}, "is no kind of test"),
        ({"test": ["CMD"]}, "is not whole"),
        ({"test": "true", "interval": "5"}, "is not a time"),
        ({"test": "true", "interval": "1us"}, "at least 1ms"),
        ({"test": "true", "retries": -1}, "is negative"),
        ({"test": {"a": 1}}, "neither a string nor a list"),
    ],
)
def test_bad_input(host: Any, check: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        host.container(healthcheck=check)
    assert host.left() == []
