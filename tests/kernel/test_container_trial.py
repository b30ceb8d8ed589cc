# SPDX-License-Identifier: GPL-3.0-or-later
"""The task is killed while a replacement has to prove itself: the next one knows, and the old one is still there."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.boot.reconcile import reconcile
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import behind
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .forking import in_a_process
from .waiting import eventually

OLD: dict[str, Any] = {
    "image": "box",
    "command": "sleep 1000",
    "stop_timeout": 0,
    "networks": [{"name": "lan"}],
    "published_ports": ["8080:80"],
    "healthcheck": {"test": "cat /well", "interval": "100ms", "retries": 1},
}
NEW = {**OLD, "command": "sleep 999"}
PROVED = {**NEW, "state": "healthy"}
AT_ONCE = {**NEW, "state": "healthy", "healthy_wait_timeout": 0.5}
END = ["wait-healthy", "discard"]


def _steps(outcome: Any) -> list[str]:
    return [step.name for step in outcome.plan]


@pytest.fixture
def lan(host: Any) -> Any:
    """A host with a network and a container that runs."""
    host.network()
    host.container(**OLD)
    host.exec("c", "touch", "/mark")
    yield host
    host.absent("c")
    assert not os.listdir(host.paths.containers)
    host.no_network("lan")


@pytest.fixture
def cut_short(lan: Any) -> Any:
    """Its replacement runs, is not healthy, and nobody waits for that any more."""
    old = lan.record().id
    child = in_a_process(partial(lan.container, **PROVED))
    try:
        eventually(lambda: _probed(lan, old))
    finally:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert _aside(lan) == old
    return lan


def _probed(host: Any, old: str) -> bool:
    """Whether another container than `old` has the name and has been looked after once: all of its start is over."""
    current = behind(host.paths.name("c"))
    known = state.read(host.paths.run_state(current)) if current and current != old else {}
    return bool((known.get("health") or {}).get("log"))


def _aside(host: Any) -> Any:
    return behind(host.paths.name_aside("c"))


def _is_the_old_one(host: Any) -> None:
    assert host.record().spec.command == ("sleep", "1000")
    assert host.pid()
    assert host.exec("c", "ls", "/mark").rc == 0
    assert os.listdir(host.paths.names) == ["c"]
    assert os.listdir(host.paths.containers) == [host.record().id]
    assert not host.container(**OLD).plan


def _is_the_new_one(host: Any) -> None:
    assert host.record().spec.command == ("sleep", "999")
    assert host.exec("c", "ls", "/mark").rc != 0
    assert os.listdir(host.paths.names) == ["c"]
    assert os.listdir(host.paths.containers) == [host.record().id]
    assert not host.container(**PROVED).plan


def test_the_same_task_waits_on(cut_short: Any) -> None:
    pid = cut_short.pid()
    assert _steps(cut_short.container(**PROVED, check=True)) == ["resume", *END]
    cut_short.exec("c", "touch", "/well")
    assert _steps(cut_short.container(**PROVED)) == ["resume", *END]
    assert cut_short.pid() == pid
    _is_the_new_one(cut_short)


def test_one_that_does_not_become_healthy_gives_way(cut_short: Any) -> None:
    with pytest.raises(StepFailed, match=r"did not become healthy in 0\.5 s"):
        cut_short.container(**AT_ONCE)
    _is_the_old_one(cut_short)


def test_one_that_has_ended_since_is_started_again_and_gives_way(cut_short: Any) -> None:
    os.kill(cut_short.pid(), signal.SIGKILL)
    eventually(lambda: not cut_short.pid())
    assert "start" in _steps(cut_short.container(**AT_ONCE, check=True))
    with pytest.raises(StepFailed):
        cut_short.container(**AT_ONCE)
    _is_the_old_one(cut_short)


def test_another_replacement_takes_its_place(cut_short: Any) -> None:
    """And the old one is still behind it."""
    other = {**AT_ONCE, "command": "sleep 998"}
    with pytest.raises(StepFailed):
        cut_short.container(**other)
    _is_the_old_one(cut_short)
    well = {**OLD, "state": "healthy", "command": "sh -c 'touch /well; exec sleep 997'"}
    assert _steps(cut_short.container(**well))[-2:] == END
    assert not cut_short.container(**well).plan


def test_a_better_replacement_takes_its_place(cut_short: Any) -> None:
    well = {**OLD, "state": "healthy", "command": "sh -c 'touch /well; exec sleep 997'"}
    assert _steps(cut_short.container(**well))[:2] == ["resume", "sweep"]
    assert os.listdir(cut_short.paths.containers) == [cut_short.record().id]
    assert not cut_short.container(**well).plan


def test_the_old_one_is_asked_for_again(cut_short: Any) -> None:
    """As by a playbook that was taken back meanwhile."""
    cut_short.container(**OLD)
    assert cut_short.record().spec.command == ("sleep", "1000")
    assert os.listdir(cut_short.paths.containers) == [cut_short.record().id]
    assert not cut_short.container(**OLD).plan


def test_who_asks_for_no_health_is_content_with_one_that_runs(cut_short: Any) -> None:
    assert _steps(cut_short.container(**NEW)) == ["resume", "discard"]
    _is_the_new_one_unproved(cut_short)


def _is_the_new_one_unproved(host: Any) -> None:
    assert host.record().spec.command == ("sleep", "999")
    assert os.listdir(host.paths.containers) == [host.record().id]
    assert not host.container(**NEW).plan


def test_at_boot_nothing_is_decided(cut_short: Any) -> None:
    pid = cut_short.pid()
    assert [result.error for result in reconcile(cut_short.paths)] == ["", ""]
    assert cut_short.pid() == pid
    assert _aside(cut_short)
    assert not cut_short.container(state="present").plan
    cut_short.container(state="stopped")
    assert _aside(cut_short)
    with pytest.raises(StepFailed):
        cut_short.container(**AT_ONCE)
    _is_the_old_one(cut_short)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["resume", *END])
def test_killed_again(cut_short: Any, step: str, event: str) -> None:
    def observer(seen: str, at: Step) -> None:
        if (seen, at.name) == (event, step):
            os.kill(os.getpid(), signal.SIGKILL)

    cut_short.exec("c", "touch", "/well")
    _pid, status = os.waitpid(in_a_process(partial(cut_short.container, **PROVED, observer=observer)), 0)
    assert os.WIFSIGNALED(status)
    cut_short.container(**PROVED)
    _is_the_new_one(cut_short)


def test_one_that_was_proved_is_never_taken_back(cut_short: Any) -> None:
    """Though it is no longer healthy when what is left of the other goes."""
    cut_short.exec("c", "touch", "/well")
    old = _aside(cut_short)
    undeletable = os.path.join(cut_short.paths.container(old, "upper"), "mark")
    subprocess.run(["chattr", "+i", undeletable], check=True)
    try:
        cut_short.container(**PROVED)
        assert _aside(cut_short) == old
        cut_short.exec("c", "rm", "/well")
        eventually(lambda: cut_short.state()["health"]["status"] == "unhealthy")
        cut_short.container(**NEW)
    finally:
        subprocess.run(["chattr", "-i", undeletable], check=True)
    assert _steps(cut_short.container(**NEW)) == ["discard"]
    _is_the_new_one_unproved(cut_short)


@pytest.mark.parametrize("step", ["start", "write-record"])
def test_killed_before_it_ran(lan: Any, step: str) -> None:
    """The next task starts it, or makes it anew where it was not even there; when that fails, the old one is back."""

    def observer(seen: str, at: Step) -> None:
        if (seen, at.name) == ("begin", step):
            os.kill(os.getpid(), signal.SIGKILL)

    wrong = {**OLD, "command": "nothing"}
    _pid, status = os.waitpid(in_a_process(partial(lan.container, **wrong, observer=observer)), 0)
    assert os.WIFSIGNALED(status)
    with pytest.raises(MiniError, match="is not in the container"):
        lan.container(**wrong)
    _is_the_old_one(lan)
