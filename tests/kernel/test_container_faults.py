# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 and errors at every named step: the next run of the same task converges, and nothing leaks."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import Busy, MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import id_of
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge as images
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import actions as volumes
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from ansible_collections.mini.containers.plugins.module_utils.linux import files
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .forking import all_at_once, in_a_process
from .waiting import PATIENCE, eventually, stays

CREATE = ["reserve-name", "make-directories", "make-volume", "lease-address", "write-record"]
START = ["claim-ports", "make-netns", "connect", "publish", "write-bundle", "start"]
TASK: dict[str, Any] = {
    "image": "box",
    "command": "sleep 1000",
    "memory": "32M",
    "stop_timeout": 0,
    "networks": [{"name": "lan"}],
    "published_ports": ["8080:80"],
    "volumes": ["data:/data"],
}


@pytest.fixture
def lan(host: Any) -> Any:
    """A host with a network of both families; the task's volume goes at the end, as no container takes it along."""
    host.network(enable_ipv6=True)
    yield host
    files.remove_tree(host.paths.volumes)
    host.no_network("lan")


def _killed_at(event: str, name: str) -> Callable[[str, Step], None]:
    def observer(seen: str, step: Step) -> None:
        if (seen, step.name) == (event, name):
            os.kill(os.getpid(), signal.SIGKILL)

    return observer


def _run_and_die(host: Any, event: str, step: str, **options: Any) -> None:
    """The task in a process of its own, killed at the step."""
    child = in_a_process(partial(host.container, observer=_killed_at(event, step), **options))
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the step {step} was never reached"


def _converges(host: Any) -> None:
    host.container(**TASK)
    assert host.pid()
    assert not host.container(**TASK).plan
    assert host.exec("c", "true").rc == 0
    host.absent("c")


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", CREATE + START)
def test_killed_while_it_is_made(lan: Any, step: str, event: str) -> None:
    _run_and_die(lan, event, step, **TASK)
    _converges(lan)


@pytest.mark.parametrize("step", CREATE[1:])
def test_the_power_goes_while_it_is_made(lan: Any, step: str) -> None:
    """A record that is not complete is not brought to the disk: what is there may be empty."""
    _run_and_die(lan, "begin", step, **TASK)
    (record,) = Path(lan.paths.containers).glob("*/record.json")
    os.truncate(record, 0)
    _converges(lan)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", CREATE + START)
def test_killed_while_it_is_made_and_then_not_wanted(lan: Any, step: str, event: str) -> None:
    _run_and_die(lan, event, step, **TASK)
    lan.absent("c")
    assert not lan.container(state="absent").plan


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", START)
def test_killed_while_it_is_started_again(lan: Any, step: str, event: str) -> None:
    lan.container(**TASK)
    lan.container(state="stopped")
    _run_and_die(lan, event, step, **TASK)
    _converges(lan)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["stop", "remove"])
def test_killed_while_it_is_removed(lan: Any, step: str, event: str) -> None:
    lan.container(**TASK)
    _run_and_die(lan, event, step, state="absent")
    lan.absent("c")
    assert not lan.container(state="absent").plan


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["stop", "set-aside", *CREATE, *START, "discard"])
def test_killed_while_it_is_replaced(lan: Any, step: str, event: str) -> None:
    lan.container(**{**TASK, "command": "sleep 999"})
    _run_and_die(lan, event, step, **TASK)
    lan.container(**TASK)
    _converges(lan)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["claim-ports", "write-record", "set-limits", "publish"])
def test_killed_while_it_is_changed(lan: Any, step: str, event: str) -> None:
    lan.container(**{**TASK, "memory": "64M", "published_ports": ["8081:80"]})
    _run_and_die(lan, event, step, **TASK)
    _converges(lan)


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["lease-address", "disconnect", "connect", "publish", "write-record", "write-hosts"])
def test_killed_while_it_is_connected_otherwise(lan: Any, step: str, event: str) -> None:
    """It leaves one network, joins another, and has another address in the third: IPv6 alone, so its MAC stays."""
    for name, number in (("left", 1), ("stays", 2), ("joined", 3)):
        lan.network(name, f"10.77.{number}.0/24", f"fd00:{number}::/64")
    before = [{"name": "stays", "ipv6_address": "fd00:2::a"}, {"name": "left"}]
    after = [{"name": "stays", "ipv6_address": "fd00:2::b"}, {"name": "joined"}]
    lan.container(**{**TASK, "networks": before})
    pid = lan.pid()
    _run_and_die(lan, event, step, **{**TASK, "networks": after})
    lan.container(**{**TASK, "networks": after})
    assert lan.pid() == pid
    shown = lan.exec("c", "busybox", "ip", "-o", "addr").stdout.decode()
    assert all(address in shown for address in ("fd00:2::b/64", "fd00:3::2/64"))
    assert not any(address in shown for address in ("fd00:2::a/64", "fd00:1::2/64"))
    assert not lan.container(**{**TASK, "networks": after}).plan
    lan.absent("c")
    lan.no_network("left", "stays", "joined")


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["write-bundle", "reload", "write-record", "pause"])
def test_killed_while_its_monitor_is_told(host: Any, step: str, event: str) -> None:
    """Whatever the monitor has heard by then, it has heard everything after the next run."""
    host.container(healthcheck={"test": "false", "interval": "100ms", "retries": 1})
    task = {"healthcheck": {"test": "true", "interval": "100ms"}, "auto_remove": True, "paused": True}
    _run_and_die(host, event, step, **task)
    host.container(**task)
    assert not host.container(**task).plan
    host.container(paused=False)
    eventually(lambda: host.state()["health"]["status"] == "healthy")
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: id_of(host.paths, "c") is None)


@pytest.mark.parametrize("event", ["begin", "done"])
def test_killed_while_its_replacement_has_to_prove_itself(host: Any, event: str) -> None:
    task = {"state": "healthy", "healthcheck": {"test": "true", "interval": "100ms"}, "healthy_wait_timeout": 20.0}
    host.container(**task)
    _run_and_die(host, event, "wait-healthy", **task, command="sleep 999")
    host.container(**task, command="sleep 999")
    assert not host.container(**task, command="sleep 999").plan
    assert len(os.listdir(host.paths.containers)) == 1
    eventually(lambda: host.state()["health"]["status"] == "healthy")
    host.absent("c")


@pytest.mark.parametrize("event", ["begin", "done"])
def test_killed_while_it_is_adopted(host: Any, event: str) -> None:
    host.container(command=["sh", "-c", "while :; do echo x; sleep 0.01; done"])
    monitor = state.process(host.state(), "monitor")
    assert monitor
    monitor.signal(signal.SIGKILL)
    assert monitor.wait(PATIENCE)
    _run_and_die(host, event, "adopt")
    host.container()
    assert state.process(host.state(), "monitor") != monitor
    assert not host.container().plan
    eventually(lambda: len(host.processes()) == 1)  # the launcher of the task that was killed ends later than that
    host.container(state="absent", force_kill=True)


@pytest.mark.parametrize("step", CREATE + START)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_takes_everything_back(lan: Any, step: str, number: int) -> None:
    def observer(event: str, found: Step) -> None:
        if (event, found.name) == ("done", step):
            raise OSError(number, os.strerror(number), "/some/file")

    with pytest.raises(MiniError, match=os.strerror(number)) as caught:
        lan.container(observer=observer, **TASK)
    assert caught.value.step == step
    assert [path for path in lan.left() if "/network/" not in path] == []


@pytest.mark.parametrize("moment", [0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12])
def test_killed_at_any_moment(lan: Any, moment: float) -> None:
    """Steps are our own idea of progress; kill -9 has no such idea."""
    child = in_a_process(partial(lan.container, **TASK))
    time.sleep(moment)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _converges(lan)


def test_a_claim_that_was_cut_short_goes_with_the_others(lan: Any) -> None:
    """kill -9 between the temporary file of a claim and its name."""
    lan.container(**TASK)
    Path(lan.paths.ports, "tcp.8080", "any.1.tmp").touch()
    _converges(lan)


@pytest.fixture
def slow_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the launchers of this process need a second for their start, and say when they begin with it.

    That is when they have been told what to start: one whose task dies before that starts nothing.
    """
    script = tmp_path / "python"
    request, begun, python = tmp_path / "request", tmp_path / "begun", os.path.realpath(sys.executable)
    script.write_text(f'#!/bin/sh\ncat >{request}\ntouch {begun}\nsleep 1\nexec {python} "$@" <{request}\n')
    script.chmod(0o755)
    return lambda: monkeypatch.setattr(sys, "executable", str(script))


def test_a_start_under_way_keeps_the_lock_of_a_task_that_was_killed(
    lan: Any, tmp_path: Path, slow_launcher: Callable[[], None]
) -> None:
    """Else the next task would see nothing that runs, and start a second one, or remove what is about to start."""
    for after in ({}, {"state": "absent"}):
        child = os.fork()
        if child == 0:
            try:
                slow_launcher()
                lan.container(**TASK)
            finally:
                os._exit(0)
        eventually((tmp_path / "begun").exists)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        (tmp_path / "begun").unlink()
        assert not after or lan.container(**{**TASK, **after}).plan
        assert after or not lan.container(**TASK).plan
        eventually(lambda: len(lan.processes()) < 2)
        lan.absent("c")
        eventually(lambda: lan.processes() == [])
        stays(lambda: lan.processes() == [], 1.5)


def test_a_start_under_way_is_over_before_it_is_taken_back(
    lan: Any, tmp_path: Path, slow_launcher: Callable[[], None]
) -> None:
    """Ctrl-C goes to all processes of the terminal."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            slow_launcher()
            lan.container(**TASK)
        except KeyboardInterrupt:
            code = 3
        finally:
            os._exit(code)
    eventually((tmp_path / "begun").exists)
    os.killpg(child, signal.SIGINT)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 3
    eventually(lambda: lan.processes() == [])
    stays(lambda: lan.processes() == [], 1.5)
    assert [path for path in lan.left() if "/network/" not in path] == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        files.write_atomic(str(small / "record"), b"old")
        with pytest.raises(OSError, match="No space left"):
            files.write_atomic(str(small / "record"), b"x" * 100_000)
        assert (small / "record").read_bytes() == b"old"
        assert sorted(path.name for path in small.iterdir()) == ["record"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(("full", "size"), [("state", "32m"), ("run", "2m")])
def test_stop_and_removal_where_there_is_no_room(host: Any, rootfs: Path, tmp_path: Path, full: str, size: str) -> None:
    """They must work with not one byte left, on the disk or below /run, and so must that of what they stood on."""
    place = tmp_path / "small" / full
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        small = type(host)(place.parent)
        small.image("box", rootfs)
        small.network("lan")
        for name in ("c", "d", "e"):
            small.container(name, **{**TASK, "published_ports": []}, restart_policy="always")
        with contextlib.suppress(OSError), (place / "rest").open("wb", buffering=0) as rest:
            while rest.write(b"x" * 4096):
                pass
        assert os.statvfs(place).f_bfree == 0
        small.container("c", state="stopped", stop_timeout=0)
        assert not small.container("c", state="stopped").plan
        assert small.record("c").wanted == "stopped"
        small.container("d", state="stopped", stop_timeout=1)
        small.absent("c", "d", "e")
        small.no_network("lan")
        volumes.remove(small.paths, "data")
        images.remove(small.paths, "box")
        assert ImageStore(small.paths).images() == []
        assert small.left() == []
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 99}', b'{"schema": 1}', b"[" * 10000])
def test_a_record_that_cannot_be_read_hides_nobody(lan: Any, content: bytes) -> None:
    lan.container(**TASK)
    lan.container("other")
    Path(lan.paths.container_record(lan.record().id)).write_bytes(content)
    assert not lan.container("other").plan
    _converges(lan)
    lan.absent("other")


def test_a_lock_that_is_held_names_its_holder(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with files.locked(host.paths.lock("container", "c"), "container c"):
                os.write(ready_write, b"x")
                time.sleep(600)
        finally:
            os._exit(1)
    os.read(ready_read, 1)
    monkeypatch.setattr(files, "LOCK_TIMEOUT", 0.2)
    with pytest.raises(Busy, match=f"locked by process {child}"):
        host.container()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    host.container()
    host.absent("c")


def test_two_tasks_for_the_same_container_make_one(host: Any) -> None:
    all_at_once([host.container] * 8)
    assert len(os.listdir(host.paths.containers)) == 1
    host.absent("c")
