# SPDX-License-Identifier: GPL-3.0-or-later
"""Life of a container: made, started, stopped, changed, mended, removed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError, NotFound, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .forking import all_at_once
from .waiting import PATIENCE, eventually


def test_a_second_run_changes_nothing(host: Any) -> None:
    assert host.container(memory="64M", env={"A": "1"}).plan
    assert not host.container(memory="64M", env={"A": "1"}).plan
    host.absent("c")
    assert not host.container(state="absent").plan


def test_check_mode_touches_nothing(host: Any) -> None:
    before = os.listdir(host.paths.run_root)
    outcome = host.container(check=True)
    assert [step.name for step in outcome.plan][-1] == "start"
    assert host.left() == []
    assert os.listdir(host.paths.run_root) == before


def test_the_exit_code_and_the_output_are_exact(host: Any) -> None:
    done = host.run(["sh", "-c", r"printf 'one\n\ntwo\r\nno end'; echo oops >&2; exit 7"])
    assert done[:3] == (7, "one\n\ntwo\r\nno end", "oops\n")


def test_a_long_output_is_whole(host: Any) -> None:
    done = host.run(["sh", "-c", "seq 1 60000; head -c 100000 /dev/zero | tr '\\0' x"])
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 60001)) + "x" * 100000


def test_arguments_keep_their_blanks_and_quotes(host: Any) -> None:
    done = host.run(["printf", "[%s]", "a b", "", "it's", '"', "$HOME", "*"])
    assert done.stdout == "[a b][][it's][\"][$HOME][*]"


def test_a_command_as_a_string_is_split_as_a_shell_would(host: Any) -> None:
    assert host.run("printf '[%s]' 'a b' c").stdout == "[a b][c]"


def test_killed_by_a_signal(host: Any) -> None:
    host.container(command="sleep 1000")
    os.kill(host.pid(), signal.SIGKILL)
    assert host.ended()["exit_code"] == 137
    host.absent("c")


def test_stop_asks_first(host: Any) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    host.container(command=["sh", "-c", script], stop_timeout=60)
    _wait_for_log(host, "ready")
    host.container(state="stopped")
    assert host.pid() == 0
    assert host.state()["exit_code"] == 0
    assert _log(host).endswith("bye\n")
    host.absent("c")


def test_stop_kills_what_does_not_listen(host: Any) -> None:
    host.container(command="sleep 1000", stop_timeout=1)
    pid = host.pid()
    began = time.monotonic()
    host.container(state="stopped")
    assert time.monotonic() - began >= 1
    assert not os.path.exists(f"/proc/{pid}")
    assert host.state()["exit_code"] == 137
    host.absent("c")


def test_force_kill_does_not_wait(host: Any, tmp_path: Path) -> None:
    script = "trap 'touch /out/asked' TERM; touch /out/ready; while :; do sleep 0.05; done"
    (tmp_path / "out").mkdir()
    host.container(command=["sh", "-c", script], stop_timeout=600, volumes=[f"{tmp_path}/out:/out"])
    eventually((tmp_path / "out" / "ready").exists)
    host.container(state="absent", force_kill=True)
    assert not (tmp_path / "out" / "asked").exists()


def test_start_stop_start(host: Any) -> None:
    def ran(times: int) -> bool:
        return bool(host.exec("c", "cat", "/count").stdout == times * b"x\n")

    host.container(command=["sh", "-c", "echo run; echo x >> /count; exec sleep 1000"])
    eventually(lambda: ran(1))
    first = host.pid()
    assert next(step.name for step in host.container(restart=True).plan) == "stop"
    assert host.pid() not in (0, first)
    eventually(lambda: ran(2))
    host.container(state="stopped")
    assert not host.container(state="stopped").plan
    host.container()
    eventually(lambda: ran(3))
    host.absent("c")


def test_present_is_made_but_does_not_run(host: Any) -> None:
    host.container(state="present")
    assert host.pid() == 0
    assert not host.container(state="present").plan
    host.absent("c")


def test_recreate_makes_a_new_one(host: Any) -> None:
    host.container(stop_timeout=0)
    before = host.record().id
    host.container(recreate=True, command="sleep 1000", stop_timeout=0)
    assert host.record().id != before
    host.absent("c")


def test_another_command_recreates(host: Any) -> None:
    host.container(command="sleep 1000")
    outcome = host.container(command="sleep 2000")
    assert "command: ['sleep', '1000'] → ['sleep', '2000']" in "\n".join(outcome.plan.describe())
    host.absent("c")


def test_a_killed_container_is_started_again(host: Any) -> None:
    host.container()
    os.kill(host.pid(), signal.SIGKILL)
    eventually(lambda: host.pid() == 0)
    assert host.container().plan
    assert host.pid()
    host.absent("c")


def test_the_container_outlives_its_monitor(host: Any) -> None:
    host.container(stop_timeout=0)
    monitor = state.process(host.state(), "monitor")
    assert monitor
    monitor.signal(signal.SIGKILL)
    assert monitor.wait(PATIENCE)
    pid = host.pid()
    assert [step.name for step in host.container().plan] == ["adopt"]
    assert not host.container().plan
    assert host.pid() == pid != 0
    assert host.exec("c", "echo", "alive").stdout == b"alive\n"
    host.absent("c")


def test_a_pid_that_was_reused_is_nobody_of_ours(host: Any) -> None:
    """PEERS: an old pid in a record must never be signalled. The identity is boot, pid and start time."""
    host.container(stop_timeout=0)
    host.container(state="stopped")
    innocent = os.fork()
    if innocent == 0:
        time.sleep(600)
        os._exit(0)
    path = Path(host.paths.run_state(host.record().id))
    text = path.read_text().replace(f'"pid": {host.state()["init"]["pid"]}', f'"pid": {innocent}')
    path.write_text(text)
    assert host.pid() == 0
    host.absent("c")
    assert os.waitpid(innocent, os.WNOHANG) == (0, 0)
    os.kill(innocent, signal.SIGKILL)
    os.waitpid(innocent, 0)


def test_after_a_reboot_nothing_runs(host: Any) -> None:
    """The boot id in the state is not that of this boot."""
    host.container(stop_timeout=0)
    host.container(state="stopped")
    path = Path(host.paths.run_state(host.record().id))
    boot_id = host.state()["init"]["boot_id"]
    path.write_text(path.read_text().replace(boot_id, "00000000-0000-0000-0000-000000000000"))
    assert host.pid() == 0
    assert "start" in [step.name for step in host.container().plan]
    host.absent("c")


def test_the_log_has_times_streams_tail_and_since(host: Any) -> None:
    wait = "until [ -e /{} ]; do sleep 0.02; done"
    script = f"echo one; {wait.format(1)}; echo two >&2; {wait.format(2)}; echo three; exec sleep 1000"
    host.container(command=["sh", "-c", script])
    for number, text in enumerate((b"one", b"two"), 1):
        eventually(lambda: [entry.text for entry in logs.entries(host.paths, host.record().id)][-1:] == [text])  # noqa: B023
        host.exec("c", "touch", f"/{number}")
    _wait_for_log(host, "three")
    entries = list(logs.entries(host.paths, host.record().id))
    assert [(entry.stream, entry.text) for entry in entries] == [
        ("stdout", b"one"),
        ("stderr", b"two"),
        ("stdout", b"three"),
    ]
    assert [entry.time for entry in entries] == sorted(entry.time for entry in entries)
    assert [entry.text for entry in logs.tail(entries, 1)] == [b"three"]
    since = logs.entries(host.paths, host.record().id, since=entries[1].time)
    assert [entry.text for entry in since] == [b"two", b"three"]
    host.container(state="absent", force_kill=True)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"image": "nothing"}, NotFound, "image nothing is not in the store"),
        ({"networks": [{"name": "nowhere"}]}, NotFound, "network nowhere does not exist"),
        ({"volumes": ["/no/such/place:/data"]}, NotFound, "bind source /no/such/place does not exist"),
        ({"user": "mallory"}, StepFailed, "no user 'mallory'"),
        ({"user": "root:nogroup"}, StepFailed, "no group 'nogroup'"),
        ({"user": "4294967296"}, StepFailed, "is not a user or group id"),
        ({"command": "/bin/nothing"}, StepFailed, "'/bin/nothing' is not in the container"),
        ({"command": "nothing"}, StepFailed, "'nothing' is not in the container"),
        ({"command": "/etc/passwd"}, StepFailed, "'/etc/passwd' is not executable"),
        ({"published_ports": ["80:80"]}, MiniError, "is in no network"),
        ({"working_dir": "/proc/self/fd/5"}, MiniError, "working-directory|working directory"),
        ({"memory": "64Q"}, MiniError, "is not a size"),
        ({"memory": "1K"}, MiniError, "too little"),
        ({"cpus": -1.0}, MiniError, "is negative"),
        ({"cpus": float("nan")}, MiniError, "is not a number of CPUs"),
        ({"cpus": float("inf")}, MiniError, "is not a number of CPUs"),
        ({"memory": "64M", "memory_swap": "32M"}, MiniError, "is less than memory .64M.*give at least as much"),
        ({"shm_size": "-1"}, MiniError, "shm_size: -1 is not a size"),
        ({"stop_timeout": -1}, MiniError, "stop_timeout: -1 is negative"),
        ({"etc_hosts": {"other": 5}}, MiniError, "etc_hosts: '5' is not an address"),
        ({"tmpfs": ["/scratch:uid=lots"]}, MiniError, "cannot mount tmpfs on /scratch: Invalid argument.*uid=lots"),
        ({"volumes": ["/etc/hostname:/bin"]}, MiniError, "cannot mount /etc/hostname on /bin: Not a directory"),
        ({"cpuset_cpus": "0-2147483647"}, MiniError, "is not a list of numbers"),
        ({"cpuset_cpus": "4000"}, MiniError, "kernel refuses cpuset_cpus"),
        ({"volumes": ["data:relative"]}, MiniError, "is not a mount"),
        ({"volumes": ["a:/x", "b:/x"]}, MiniError, "target of two mounts"),
        ({"hostname": "-bad-"}, MiniError, "is not a host name"),
        ({"env": {"A": True}}, MiniError, "put it in quotes"),
        ({"stop_signal": "SIGNOTHING"}, MiniError, "no signal"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    host: Any, options: dict[str, Any], error: type[MiniError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        host.container(**options)
    assert "\n" not in str(caught.value)


def test_a_state_root_that_cannot_carry_an_overlay(host: Any, tmp_path: Path) -> None:
    """An overlay cannot lie on another one."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    data = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    host.container(state="present")
    directory = host.paths.container(host.record().id)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", data, f"{directory}/upper"], check=True)
    try:
        with pytest.raises(StepFailed, match="put the state root on ext4 or xfs"):
            host.container()
    finally:
        subprocess.run(["umount", f"{directory}/upper"], check=True)
    host.absent("c")


def test_an_image_whose_layer_is_gone(host: Any) -> None:
    host.container(state="present")
    for layer in os.listdir(host.paths.layers):
        os.rename(os.path.join(host.paths.layers, layer), os.path.join(host.paths.state_root, layer))
    with pytest.raises(StepFailed, match="make the image again"):
        host.container()
    host.absent("c")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-rf", "x" * 300, "new\nline", "nul\0"])
def test_bad_names_are_refused(host: Any, name: str) -> None:
    with pytest.raises(MiniError, match="is not a container name"):
        host.container(name)


def test_twenty_at_once(host: Any) -> None:
    all_at_once(partial(host.container, f"c{number}", memory="32M") for number in range(20))
    assert len({host.pid(f"c{number}") for number in range(20)} - {0}) == 20
    host.absent(*(f"c{number}" for number in range(20)))


def _log(host: Any) -> str:
    return str(logs.output(logs.entries(host.paths, host.record().id), "stdout"))


def _wait_for_log(host: Any, text: str) -> None:
    eventually(lambda: text in _log(host))


def test_nothing_of_it_is_in_the_session_that_started_it(host: Any) -> None:
    """Where a service manager tracks processes: in the hierarchy without controllers, or in the only one."""
    host.container()
    for pid, place in ((host.state()["monitor"]["pid"], "/mini/monitor"), (host.pid(), f"/mini/{host.record().id}")):
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        tracked = [path for _number, options, path in lines if options in ("", "name=systemd")]
        assert set(tracked) == {place}
    host.absent("c")
