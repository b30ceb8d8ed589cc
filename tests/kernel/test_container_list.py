# SPDX-License-Identifier: GPL-3.0-or-later
"""Many containers in one task."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.converge import converge_all
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import find, id_of
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import published
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import GATEWAY_MODES, ROUTED
from ansible_collections.mini.containers.plugins.module_utils.glue.container_list import tasks_of
from ansible_collections.mini.containers.plugins.modules import mini_containers

from .forking import in_a_process

COMMON: dict[str, Any] = {"image": "box", "command": "sleep 1000", "stop_timeout": 0}
THREE: list[dict[str, Any]] = [
    {"name": name, "networks": [{"name": "lan"}], "ports": [f"{port}:80"]}
    for name, port in (("a", 8080), ("b", 8081), ("c", 8082))
]


def _params(*entries: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The parameters of a task, as Ansible hands them over."""
    given = {"containers": list(entries), **options, "defaults": {**COMMON, **options.get("defaults", {})}}
    checked = ArgumentSpecValidator(mini_containers.ARGUMENT_SPEC).validate(given)
    assert not checked.error_messages
    return dict(checked.validated_parameters)


def _task(host: Any, *entries: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's work, without Ansible around it."""
    module = SimpleNamespace(
        params=_params(*entries, **options), check_mode=check, _diff=True, log=print, warn=lambda text: None
    )
    host._look()
    try:
        return mini_containers.work(module, host.paths)
    finally:
        host._look()


def _gone(host: Any, *names: str) -> None:
    result = _task(host, *({"name": name} for name in names), defaults={"state": "absent"})
    assert "errors" not in result
    assert not _task(host, *({"name": name} for name in names), defaults={"state": "absent"})["changed"]


@pytest.fixture
def lan(host: Any) -> Iterator[Any]:
    host.network()
    yield host
    host.no_network("lan")


def _counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """How often something is called, and with what; it does what it always does."""
    seen: list[Any] = []
    real = getattr(owner, name)

    def call(*arguments: Any) -> Any:
        seen.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(owner, name, call)
    return seen


def test_one_launcher_and_one_transaction_for_all(lan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = _counted(monkeypatch, runtime, "start")
    rules = _counted(monkeypatch, published, "apply_rules")
    planned = _task(lan, *THREE, check=True)
    assert lan.left() == [path for path in lan.left() if "/network/" in path]
    done = _task(lan, *THREE)
    assert done["changed"]
    assert done["actions"] == planned["actions"]
    assert [len(ids) for _paths, ids, *_more in starts] == [3]
    assert [len(wanted) for _paths, wanted, _before in rules] == [3]
    assert [facts["Name"] for facts in done["containers"]] == ["/a", "/b", "/c"]
    assert all(facts["State"]["Running"] for facts in done["containers"])
    assert [entry["prepared"].splitlines()[0] for entry in done["diff"]] == ["a:", "b:", "c:"]
    again = _task(lan, *THREE)
    assert (again["changed"], again["diff"]) == (False, [])
    assert again["actions"] == {"a": [], "b": [], "c": []}
    _gone(lan, "a", "b", "c")
    assert [len(wanted) for _paths, wanted, _before in rules] == [3, 3]


def test_they_know_each_other_from_the_first_moment(lan: Any) -> None:
    lan_only = [{"name": "lan"}]
    script = "grep -w a /etc/hosts && grep -w b /etc/hosts && grep -w c /etc/hosts"
    entries = [{"name": name, "networks": lan_only, "command": ["sh", "-c", script]} for name in ("a", "b", "c")]
    _task(lan, *entries)
    assert {name: lan.ended(name)["exit_code"] for name in ("a", "b", "c")} == {"a": 0, "b": 0, "c": 0}
    _gone(lan, "a", "b", "c")


FAMILY = [
    {"name": "sibling", "pid_mode": "container:side"},
    {"name": "side", "network_mode": "container:web", "volumes_from": ["web"]},
    {"name": "web", "networks": [{"name": "lan"}], "volumes": ["/data"], "ports": ["8080:80"]},
]


def test_who_is_needed_comes_first(lan: Any) -> None:
    assert _task(lan, *FAMILY, check=True)["changed"]
    done = _task(lan, *FAMILY)
    assert "errors" not in done
    own, given = (lan.record(name).all_mounts()[0].source for name in ("web", "side"))
    assert own == given
    assert _same(lan, "net", "web", "side")
    assert _same(lan, "pid", "side", "sibling")
    assert not _task(lan, *FAMILY)["changed"]
    newer = [*FAMILY[:2], {**FAMILY[2], "env": {"A": "1"}}]
    planned = _task(lan, *newer, check=True)["actions"]
    assert planned["side"][0] == planned["sibling"][0] == "stop"
    assert _task(lan, *newer)["actions"]["side"][:1] == ["stop"]
    assert _same(lan, "net", "web", "side")
    assert not _task(lan, *newer)["changed"]
    _task(lan, *({"name": entry["name"], "state": "absent", "keep_volumes": False} for entry in FAMILY))
    assert lan.left() == [path for path in lan.left() if "/network/" in path]


def _same(host: Any, kind: str, one: str, other: str) -> bool:
    links = {os.readlink(f"/proc/{host.pid(name)}/ns/{kind}") for name in (one, other)}
    return len(links) == 1


def test_who_fails_is_named_and_taken_back_alone(lan: Any) -> None:
    entries = [THREE[0], {**THREE[1], "command": "/bin/nothing"}, THREE[2]]
    done = _task(lan, *entries)
    assert done["failed"]
    assert done["changed"]
    assert set(done["errors"]) == {"b"}
    assert (done["rc"], done["errors"]["b"]["error"]["step"]) == (127, "exec")
    assert "cannot start b: the command '/bin/nothing' is not in the container" in done["msg"]
    assert [bool(facts) for facts in done["containers"]] == [True, False, True]
    assert done["actions"]["b"] == []
    assert id_of(lan.paths, "b") is None
    assert lan.pid("a")
    assert lan.pid("c")
    assert set(_task(lan, *THREE)["actions"]["a"]) == set()
    assert lan.pid("b")
    _gone(lan, "a", "b", "c")


def test_a_replacement_that_fails_leaves_the_others_replaced(lan: Any) -> None:
    _task(lan, *THREE)
    before = {name: lan.record(name).id for name in ("a", "b", "c")}
    newer = [{**entry, "env": {"A": "1"}} for entry in THREE]
    newer[1]["entrypoint"] = ["/bin/nothing"]
    done = _task(lan, *newer)
    assert set(done["errors"]) == {"b"}
    assert {name for name in before if lan.record(name).id != before[name]} == {"a", "c"}
    assert all(lan.pid(name) for name in before)
    _gone(lan, *before)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "b", "memory": "much"}, "b: memory"),
        ({"name": "b", "image": "none", "pull": "never"}, "none is not in the store"),
        ({"name": "b", "networks": [{"name": "nowhere"}]}, "cannot make b: network nowhere does not exist"),
        ({"name": "b", "pid_mode": "container:d"}, "the container d, which it is to join, does not run"),
        ({"name": "b", "volumes_from": ["d"]}, "container d of volumes_from does not exist"),
        ({"name": "b", "pid_mode": "container:b"}, "does not run"),
        ({"name": "a"}, "a is named twice"),
        (
            {"name": "b", "ports": ["127.0.0.1:80:80"], "networks": [{"name": "x"}]},
            "a and b both publish 127.0.0.1:80->80/tcp",
        ),
    ],
)
def test_nothing_is_done_for_any_when_one_makes_no_sense(host: Any, entry: dict[str, Any], reason: str) -> None:
    try:
        first = {"name": "a", "ports": ["80:80"], "networks": [{"name": "x"}]} if "ports" in entry else {"name": "a"}
        message = str(_task(host, first, entry, {"name": "c"})["msg"])
    except BadInput as exc:
        message = str(exc)
    assert reason in message
    assert host.left() == []


def test_others_with_the_label_go_and_nobody_else(lan: Any) -> None:
    shop, other = {"labels": {"project": "shop"}}, {"labels": {"project": "other"}}
    _task(lan, {**THREE[0], **shop}, {"name": "b", **other}, {"name": "d"})
    with pytest.raises(BadInput, match="e does not carry the label project=shop"):
        _task(lan, {"name": "e"}, purge_label="project=shop")
    moved = {**THREE[0], "name": "new"}
    planned = _task(lan, moved, purge_label="project=shop", defaults=shop, check=True)
    assert planned["actions"]["a"] == ["stop", "remove"]
    done = _task(lan, moved, purge_label="project=shop", defaults=shop)
    assert "errors" not in done, "its port and its name are free when the new one wants them"
    assert [id_of(lan.paths, name) is None for name in ("a", "b", "d", "new")] == [True, False, False, False]
    assert not _task(lan, moved, purge_label="project=shop", defaults=shop)["changed"]
    assert set(_task(lan, purge_label="project")["actions"]) == {"new", "b"}
    assert [id_of(lan.paths, name) is None for name in ("b", "d", "new")] == [True, False, True]
    _gone(lan, "d")


def _check(test: str) -> dict[str, Any]:
    return {"state": "healthy", "healthcheck": {"test": test, "interval": "50ms", "retries": 2}}


def test_health_is_waited_for_together(host: Any) -> None:
    slow = ["sh", "-c", "sleep 1; touch /ok; sleep 1000"]
    entries = [{"name": name, "command": slow, **_check("[ -e /ok ]")} for name in ("a", "b", "c")]
    done = _task(host, *entries)
    assert "errors" not in done
    assert [facts["State"]["Health"]["Status"] for facts in done["containers"]] == ["healthy"] * 3
    _gone(host, "a", "b", "c")


def test_the_first_that_cannot_become_healthy_ends_the_wait(host: Any) -> None:
    never = {**_check("echo not yet; false"), "healthy_wait_timeout": 0}
    ends = {**_check("echo bad; false"), "command": ["sh", "-c", "sleep 0.5; exit 3"]}
    done = _task(host, {"name": "a", **never}, {"name": "b", **ends})
    assert set(done["errors"]) == {"b"}
    assert "b did not become healthy: it ended with exit code 3" in done["msg"]
    assert done["changed"]
    _gone(host, "a", "b")


def test_one_in_the_foreground_is_waited_for_before_the_next(host: Any) -> None:
    write = {"name": "write", "command": ["sh", "-c", "echo done > /data/x; echo said"], "detach": False}
    read = {"name": "read", "command": ["cat", "/data/x"], "detach": False}
    entries = [{"name": "before"}, {**write, "volumes": ["v:/data"]}, {**read, "volumes": ["v:/data"]}]
    done = _task(host, *entries)
    assert [facts.get("Output") for facts in done["containers"]] == [None, "said\n", "done\n"]
    fails = {**write, "command": ["sh", "-c", "exit 7"], "volumes": ["v:/data"]}
    done = _task(host, {"name": "before"}, fails, {"name": "after"})
    assert (done["failed"], done["rc"]) == (True, 7)
    assert "write ended with exit code 7; after: it was not begun" in done["msg"]
    assert id_of(host.paths, "after") is None
    _gone(host, "before", "write", "read")


def test_what_entries_have_in_common(host: Any) -> None:
    common = {"env": {"A": "1", "B": "2"}, "labels": {"x": "y"}, "healthcheck": {"test": "true", "interval": "9s"}}
    entry = {"name": "a", "env": {"B": "3"}, "command": "sleep 9", "healthcheck": {"retries": 7}, "stop_timeout": 4}
    (task,) = tasks_of(_params(entry, defaults=common))
    spec = task.wish.spec
    assert (spec.env, spec.labels, spec.command) == ({"A": "1", "B": "3"}, {"x": "y"}, ("sleep", "9"))
    assert (spec.stop_timeout, task.wish.state, task.wish.keep_volumes) == (4, "started", True)
    assert spec.healthcheck
    assert (spec.healthcheck.test, spec.healthcheck.interval, spec.healthcheck.retries) == (
        ("CMD-SHELL", "true"),
        9 * 10**9,
        7,
    )


# A task that is killed, or comes twice.


def _killed_at(event: str, step: str, target: str) -> Callable[[str, Step], None]:
    def observer(seen: str, found: Step) -> None:
        if (seen, found.name) == (event, step) and target in (found.target, found.reason.rpartition(" ")[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    return observer


def _converge(host: Any, *entries: dict[str, Any], **options: Any) -> list[Any]:
    wishes = [task.wish for task in tasks_of(_params(*entries))]
    host._look()
    try:
        return converge_all(host.paths, wishes, **options)
    finally:
        host._look()


def _comes_right(host: Any, entries: list[dict[str, Any]]) -> None:
    names = [entry["name"] for entry in entries]
    host._look()
    assert "errors" not in _task(host, *entries)
    assert not _task(host, *entries)["changed"]
    assert all(host.pid(name) for name in names)
    assert len(os.listdir(host.paths.containers)) == len(names)
    _gone(host, *names)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["reserve-name", "lease-address", "claim-ports", "publish", "write-bundle", "start"])
def test_killed_while_they_are_made(lan: Any, step: str, event: str) -> None:
    child = in_a_process(lambda: _converge(lan, *THREE, observer=_killed_at(event, step, "b")))
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f"the step {step} was never reached"
    _comes_right(lan, THREE)


@pytest.mark.parametrize("step", ["stop", "set-aside", "start", "discard"])
def test_killed_while_they_are_replaced(lan: Any, step: str) -> None:
    _task(lan, *({**entry, "env": {"A": "1"}} for entry in THREE))
    newer = [{**entry, "env": {"A": "2"}} for entry in THREE]
    child = in_a_process(lambda: _converge(lan, *newer, observer=_killed_at("done", step, "b")))
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f"the step {step} was never reached"
    _comes_right(lan, newer)


@pytest.mark.parametrize("moment", [0.02, 0.06, 0.1, 0.15])
def test_killed_at_any_moment(lan: Any, moment: float) -> None:
    child = in_a_process(lambda: _converge(lan, *THREE))
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _comes_right(lan, THREE)


@pytest.mark.parametrize("step", ["lease-address", "publish", "start"])
def test_an_error_in_one_takes_that_one_back(lan: Any, step: str) -> None:
    def observer(event: str, found: Step) -> None:
        if (event, found.name) == ("done", step) and "b" in (found.target, found.reason.rpartition(" ")[2]):
            raise OSError(28, "No space left on device", "/some/file")

    a, b, c = _converge(lan, *THREE, observer=observer)
    assert (a.error, c.error) == (None, None)
    assert isinstance(b.error, StepFailed)
    assert b.error.step == step
    assert find(lan.paths, "b") is None
    assert lan.pid("a")
    assert lan.pid("c")
    _gone(lan, "a", "b", "c")


def test_ports_that_one_cannot_have_are_its_failure_alone(lan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = published.apply_rules

    def refuse(paths: Any, wanted: Any, before: Any = None) -> Any:
        if id_of(paths, "b") in wanted and any(wanted.values()):
            raise Conflict("somebody else has it")
        return real(paths, wanted, before)

    monkeypatch.setattr(published, "apply_rules", refuse)
    errors = [str(outcome.error or "") for outcome in _converge(lan, *THREE)]
    assert errors == ["", "somebody else has it", ""]
    monkeypatch.undo()
    _comes_right(lan, THREE)


def test_an_interrupt_takes_back_what_is_not_finished(lan: Any) -> None:
    def observer(event: str, found: Step) -> None:
        if (event, found.name, found.target) == ("done", "start", "b"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _converge(lan, *THREE, observer=observer)
    assert lan.pid("a"), "it was finished"
    assert [id_of(lan.paths, name) for name in ("b", "c")] == [None, None]
    _comes_right(lan, THREE)


def test_the_same_list_many_times_at_once(lan: Any) -> None:
    """In any order: locks are taken by name."""
    tasks = [THREE, THREE[::-1]] * 4
    children = [in_a_process(partial(_all_well, lan, entries)) for entries in tasks]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(tasks)
    assert len(os.listdir(lan.paths.containers)) == 3
    _comes_right(lan, THREE)


def _all_well(host: Any, entries: list[dict[str, Any]]) -> None:
    assert [outcome.error for outcome in _converge(host, *entries)] == [None] * len(entries)


def test_twenty_at_once(lan: Any) -> None:
    twenty = [{"name": f"c{number}", "networks": [{"name": "lan"}], "ports": ["80"]} for number in range(20)]
    lan._look()
    _comes_right(lan, twenty)


def test_one_port_of_several_that_take_none_of_the_host(host: Any) -> None:
    """In a network that is routed each publishes at its own address."""
    host.network("routed", "10.77.9.0/24", driver_options={GATEWAY_MODES[4]: ROUTED})
    entries = [{"name": name, "networks": [{"name": "routed"}], "ports": ["8080:80"]} for name in "ab"]
    assert "errors" not in _task(host, *entries)
    assert not _task(host, *entries)["changed"]
    _gone(host, "a", "b")
    host.no_network("routed")
