# SPDX-License-Identifier: GPL-3.0-or-later
"""A power cut and the boot after it: /run is empty or of another boot; links, rules and processes are gone.

What systemd calls is called here as systemd calls it: the code below the state root, without the collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine import runtime
from ansible_collections.mini.containers.plugins.module_utils.engine.boot import install
from ansible_collections.mini.containers.plugins.module_utils.engine.boot.reconcile import reconcile, shut_down
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.records import names_in
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.detect import open_cgroup
from ansible_collections.mini.containers.plugins.module_utils.linux.files import remove_tree
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MNT_DETACH
from ansible_collections.mini.containers.plugins.module_utils.network import netns
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .waiting import PATIENCE, eventually

SERVER = ["sh", "-c", "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]


@pytest.fixture
def lan(host: Any) -> Iterator[Any]:
    """A host with a network, and the code that is run at boot, which knows the run root by the state root."""
    host.paths = Paths(host.paths.state_root)
    host.network(enable_ipv6=True)
    install._write_code(host.paths)
    yield host
    host.no_network("lan")
    assert not names_in(host.paths.running)
    remove_tree(host.paths.run_root)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(host.paths.run_root))


def power_cut(host: Any, *, wiped: bool = True) -> None:
    """Nothing survives but the disk; /run does not either, unless it is one."""
    for path in Path(host.paths.running).glob("*"):
        found = state.read(str(path / "state.json"))
        for key in ("monitor", "init"):
            process = state.process(found, key)
            if process:
                process.signal(signal.SIGKILL)
                assert process.wait(PATIENCE)
        cgroup = open_cgroup(f"/mini/{path.name}")
        cgroup.remove()
        netns.delete(str(path / "netns"))
    kept = [*Path(host.paths.running).glob("*/state.json"), *Path(host.paths.containers).glob("*/exit.json")]
    for path in kept:
        _of_another_boot(path)
    subprocess.run("ip -o link | grep -o 'mini-[0-9a-z]*' | sort -u | xargs -rn1 ip link del", shell=True, check=True)
    flush()
    if wiped:
        remove_tree(host.paths.run_root)


def lost_writes(host: Any, synced: dict[tuple[int, int], int]) -> list[str]:
    """Empty what is not on the disk for sure, as a journal does that orders names before contents; the names of it."""
    lost = []
    for path in Path(host.paths.containers).glob("*/*"):
        found = path.lstat()
        if path.is_file() and synced.get((found.st_dev, found.st_ino), -1) < found.st_mtime_ns:
            os.truncate(path, 0)
            lost.append(path.name)
    return sorted(lost)


def _of_another_boot(path: Path) -> None:
    found = json.loads(path.read_text())
    for key in ("monitor", "init"):
        if found.get(key):
            found[key]["boot_id"] = "another"
    path.write_text(json.dumps(found))


def flush() -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("0")


def boot(host: Any) -> subprocess.CompletedProcess[str]:
    """As the unit does it."""
    return subprocess.run(
        [sys.executable, "-I", host.paths.boot, "reconcile", host.paths.state_root],
        env={},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE,
    )


def page(port: int) -> bytes:
    """What the server says, which may not have come up yet: nothing then."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=15) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def records(host: Any) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in Path(host.paths.containers).glob("*/record.json")}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, int], int]:
    """Which files were brought to the disk by this process, by device and inode, and how old they were then."""
    found = {}

    def fsync(fd: int, real: Callable[[int], None] = os.fsync) -> None:
        status = os.fstat(fd)
        found[status.st_dev, status.st_ino] = status.st_mtime_ns
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def test_what_was_not_synced_is_made_again(lan: Any, synced: dict[tuple[int, int], int]) -> None:
    web = {"command": SERVER, "networks": [{"name": "lan"}], "published_ports": ["8080:80"]}
    lan.container("web", restart_policy="always", **web)
    lan.container("other", networks=[{"name": "lan"}])
    before = records(lan)
    directories = (lan.paths.containers, lan.paths.names, lan.paths.container(lan.record("web").id))
    assert {(os.stat(path).st_dev, os.stat(path).st_ino) for path in directories} <= synced.keys()

    power_cut(lan)
    assert lost_writes(lan, synced) == sorted(2 * ["config.json", "hostname", "hosts", "log", "resolv.conf"])
    assert records(lan) == before
    done = boot(lan)
    assert done.returncode == 0, done.stderr
    assert eventually(lambda: page(8080) == b"page\n")
    lan.container("other", networks=[{"name": "lan"}])
    assert lan.exec("other", "grep", "-c", "web", "/etc/hosts").stdout == b"2\n"
    assert not lan.container("other", networks=[{"name": "lan"}]).plan
    for name in ("web", "other"):
        lan.absent(name)


@pytest.mark.parametrize("wiped", [True, False])
def test_the_boot_brings_back_what_should_run(lan: Any, wiped: bool) -> None:
    web = {"command": SERVER, "networks": [{"name": "lan"}], "published_ports": ["8080:80"], "pids_limit": 20}
    lan.container("always", restart_policy="always", **web)
    lan.container("always-stopped", restart_policy="always")
    lan.container("unless", restart_policy="unless-stopped", networks=[{"name": "lan"}])
    lan.container("unless-stopped", restart_policy="unless-stopped")
    lan.container("failing", restart_policy="on-failure")
    # Another life would last.
    lan.container("done", restart_policy="on-failure", command=["sh", "-c", "test -e /ran && sleep 1000; touch /ran"])
    lan.container("never", state="present", restart_policy="always")
    lan.container("passing", auto_remove=True, volumes=["/anonymous"])
    lan.container("no")
    for name in ("always-stopped", "unless-stopped"):
        lan.container(name, state="stopped")
    lan.ended("done")
    names = ("always", "always-stopped", "unless", "unless-stopped", "failing", "done", "never", "no")
    before, addresses = records(lan), {name: lan.record(name).networks for name in names}

    power_cut(lan, wiped=wiped)
    assert records(lan) == before
    done = boot(lan)
    assert done.returncode == 0, done.stderr
    assert len(records(lan)) == len(names)
    assert names_in(lan.paths.volumes) == []
    assert [name for name in names if lan.pid(name)] == ["always", "always-stopped", "unless", "failing"]
    assert {name: lan.record(name).networks for name in names} == addresses
    assert lan.cgroup_file("always", "pids", "pids.max") == "20"
    eventually(lambda: page(8080) == b"page\n")
    eventually(lambda: lan.exec("unless", "wget", "-q", "-O", "-", "http://always/").stdout == b"page\n")

    again = boot(lan)
    assert (again.returncode, again.stderr) == (0, "")
    lan.container("always", **web)
    assert not lan.container("always", **web).plan
    lan.absent(*names)


def test_without_the_unit_the_next_task_heals(lan: Any) -> None:
    task = {"command": SERVER, "networks": [{"name": "lan"}], "published_ports": ["8080:80"], "pids_limit": 20}
    lan.container(restart_policy="unless-stopped", **task)
    lan.container("other", networks=[{"name": "lan"}])
    before = records(lan)
    power_cut(lan)
    shown = facts(lan.paths, lan.record())["State"]
    assert (shown["Status"], shown["Running"]) == ("exited", False)
    assert "the exit code is unknown" in shown["Error"]
    assert lan.container(**task).plan
    assert not lan.container(**task).plan
    assert records(lan) == before
    eventually(lambda: page(8080) == b"page\n")
    assert lan.container("other").plan
    lan.absent("c", "other")


def test_who_was_down_and_is_to_stay_down(lan: Any) -> None:
    """After a boot without the unit everything is down, and a task that says so must hold at the next boot."""
    lan.container(restart_policy="unless-stopped")
    power_cut(lan)
    assert [step.name for step in lan.container(state="stopped").plan] == ["write-record"]
    assert not lan.container(state="stopped").plan
    assert boot(lan).returncode == 0
    assert not lan.pid()
    lan.absent("c")


def test_one_that_fails_does_not_keep_the_others_down(lan: Any, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    lan.container("a", restart_policy="always", volumes=[f"{tmp_path}/source:/data"])
    lan.container("b", restart_policy="always", networks=[{"name": "lan"}])
    lan.container("c", restart_policy="always")
    lan.network("wrong")
    broken = lan.record("c").id
    power_cut(lan)
    (tmp_path / "source").rmdir()
    Path(lan.paths.container_record(broken)).write_bytes(b"{")
    Path(lan.paths.network_record("wrong")).write_bytes(b"{")
    done = boot(lan)
    assert done.returncode == 1
    assert lan.pid("b")
    failed = [line for line in done.stderr.splitlines() if "FAILED" in line]
    assert [line.split(" FAILED")[0] for line in failed] == ["network wrong", f"container {broken[:12]}", "container a"]
    assert f"{tmp_path}/source" in failed[2]
    (tmp_path / "source").mkdir()
    assert "start" in boot(lan).stderr
    assert lan.pid("a")
    lan.absent("a", "b", "c")
    lan.no_network("wrong")


def test_who_joins_another_one_is_started_after_it(lan: Any) -> None:
    """Though it is the older one: the other has been replaced meanwhile."""
    lan.container("front", restart_policy="always", networks=[{"name": "lan"}])
    lan.container("beside", restart_policy="always", network_mode="container:front")
    lan.container("front", env={"A": "1"})
    lan.container("beside")
    power_cut(lan)
    done = boot(lan)
    assert done.returncode == 0, done.stderr
    assert lan.exec("beside", "ip", "addr").stdout == lan.exec("front", "ip", "addr").stdout
    lan.absent("beside", "front")


def test_a_flush_is_repaired_and_no_process_is_touched(lan: Any) -> None:
    lan.container(
        "web", restart_policy="always", command=SERVER, networks=[{"name": "lan"}], published_ports=["8080:80"]
    )
    lan.container("down", restart_policy="always")
    lan.container("down", state="stopped")
    lan.container("ended", restart_policy="on-failure", command="true")
    lan.ended("ended")
    pid, rules = lan.pid("web"), lan.snapshot()["table"]
    flush()
    assert lan.snapshot()["table"] != rules
    done = boot(lan)
    assert done.returncode == 0, done.stderr
    assert lan.snapshot()["table"] == rules
    assert lan.pid("web") == pid
    eventually(lambda: page(8080) == b"page\n")
    assert not lan.pid("down")
    assert not lan.pid("ended")
    assert boot(lan).stderr == ""
    lan.absent("web", "down", "ended")


def test_a_replacement_that_the_power_cut_interrupts(lan: Any) -> None:
    """The old container comes back: the new one never ran."""
    lan.container(restart_policy="always")
    old = lan.record().id
    child = os.fork()
    if child == 0:
        try:
            lan.container(env={"A": "1"}, observer=lambda event, step: step.name == "make-directories" and os._exit(9))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    power_cut(lan)
    done = boot(lan)
    assert done.returncode == 0, done.stderr
    assert lan.record().id == old
    assert lan.pid()
    assert len(os.listdir(lan.paths.containers)) == 1
    lan.absent("c")


def test_what_comes_back_is_started_at_once(lan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one launcher, but for those that need others; and one that cannot be brought back is not in their way."""
    always = {"restart_policy": "always"}
    for name in ("a", "b", "lame"):
        lan.container(name, networks=[{"name": "lan"}], **always)
    lan.container("joins", network_mode="container:" + lan.record("a").id[:12], **always)
    power_cut(lan)
    shutil.rmtree(lan.paths.container(lan.record("lame").id, "work"))
    starts: list[list[str]] = []
    start = runtime.start
    monkeypatch.setattr(runtime, "start", lambda paths, ids, *more: starts.append(ids) or start(paths, ids, *more))
    errors = {result.what: result.error for result in reconcile(lan.paths) if result.error}
    assert list(errors) == ["container lame"]
    assert [len(ids) for ids in starts] == [3, 1]
    assert all(lan.pid(name) for name in ("a", "b", "joins"))
    lan.absent("a", "b", "lame", "joins")


def test_the_host_goes_down_in_order(lan: Any) -> None:
    """Each has its own signal and patience, all at once; it is no stop by hand."""
    told = ["sh", "-c", "trap 'exit 3' USR1; touch /all/$HOSTNAME; while :; do sleep 0.1; done"]
    patient = {"volumes": ["v:/all"], "stop_timeout": 60}
    lan.container("told", command=told, stop_signal="SIGUSR1", restart_policy="unless-stopped", **patient)
    # Each waits for the others: one after the other they would end by force only.
    last = "touch /all/over-$HOSTNAME; until [ $(ls /all | grep -c over) = 3 ]; do sleep 0.1; done; exit 4"
    meet = ["sh", "-c", f"trap '{last}' TERM; touch /all/$HOSTNAME; while :; do sleep 0.1; done"]
    names = [f"meet{number}" for number in range(3)]
    for name in names:
        lan.container(name, command=meet, restart_policy="on-failure", **patient)
    lan.container("deaf", stop_timeout=1, restart_policy="on-failure")
    eventually(lambda: len(os.listdir(lan.paths.volume_data("v"))) == 4)
    names.append("deaf")
    results = shut_down(lan.paths)
    assert [lan.state(name)["exit_code"] for name in names] == [4, 4, 4, 137]
    assert sorted(result.what for result in results) == sorted(f"container {name}" for name in ("told", *names))
    assert not [result.error for result in results if result.error]
    assert lan.state("told")["exit_code"] == 3
    power_cut(lan)
    assert boot(lan).returncode == 0
    assert all(lan.pid(name) for name in ("told", *names))
    for name in ("told", *names):
        lan.container(name, state="absent", force_kill=True)


def test_a_task_that_changes_something_brings_its_version_of_the_code(lan: Any) -> None:
    version = os.readlink(lan.paths.boot)
    shutil.copytree(Path(lan.paths.runtimes, version), Path(lan.paths.runtimes, "0ld"))
    os.unlink(lan.paths.boot)
    os.symlink("0ld", lan.paths.boot)
    lan.container()
    assert os.readlink(lan.paths.boot) == version
    os.unlink(lan.paths.boot)
    lan.container(state="stopped")
    assert not os.path.lexists(lan.paths.boot), "nobody asked for it here"
    lan.absent("c")


def test_the_code_needs_nothing_but_itself(lan: Any) -> None:
    """Not the collection, not the current directory, not the environment."""
    done = subprocess.run([sys.executable, "-I", lan.paths.boot], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.split(":")[0]) == (1, "usage")
    lan.container(restart_policy="always")
    power_cut(lan)
    here = Path(lan.paths.state_root) / "cwd"
    here.mkdir()
    (here / "json.py").write_text("raise SystemExit(66)")
    done = subprocess.run(
        [sys.executable, "-I", lan.paths.boot, "reconcile", lan.paths.state_root],
        cwd=here,
        env={"PYTHONPATH": str(here)},
        check=False,
    )
    assert done.returncode == 0
    assert lan.pid()
    lan.absent("c")


def test_secrets_of_files_come_back_and_others_are_named(lan: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    always = {"restart_policy": "always", "stop_timeout": 0}
    lan.container("file", secrets=[{"source": "key", "src": f"{tmp_path}/key"}], **always)
    lan.container("content", secrets=[{"source": "word", "content": "from the task"}], **always)
    lan.container("other", **always)
    for name in ("file", "content"):
        libc.umount2(lan.paths.secrets(lan.record(name).id), MNT_DETACH)
    power_cut(lan)
    done = boot(lan)
    assert "the secret word of content is not in memory any more" in done.stdout + done.stderr
    assert lan.exec("file", "cat", "/run/secrets/key").stdout == b"from a file"
    assert lan.pid("other")
    assert not lan.pid("content")
    lan.container("content", secrets=[{"source": "word", "content": "from the task"}])
    assert lan.exec("content", "cat", "/run/secrets/word").stdout == b"from the task"
    lan.absent("file", "content", "other")
