# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of the specification, and those that runc has besides."""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..waiting import eventually


def test_run_gives_the_exit_code_and_leaves_nothing(bundle: Any) -> None:
    bundle.sh("echo out; echo err >&2; exit 7")
    done = bundle.call("run", "c1")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_a_container_from_its_creation_to_its_end(bundle: Any) -> None:
    bundle.sh("echo started; exec sleep 1000")
    bundle.config["annotations"] = {"key": "value"}
    bundle.ok("create", "--pid-file", "pid", "c1")
    created = bundle.state()
    assert created["status"] == "created"
    assert created["pid"] == int((bundle.directory / "pid").read_text())
    assert (created["id"], created["bundle"]) == ("c1", str(bundle.directory))
    assert created["annotations"] == {"key": "value"}
    assert (bundle.directory / "out.1").read_text() == ""
    bundle.ok("start", "c1")
    eventually(lambda: (bundle.directory / "out.1").read_text() == "started\n")
    assert bundle.state()["status"] == "running"
    assert "cannot start a container that is running" in bundle.refused("start", "c1")
    assert "not stopped: running" in bundle.refused("delete", "c1")
    bundle.ok("kill", "c1", "KILL")
    eventually(lambda: bundle.state()["status"] == "stopped")
    assert "container not running" in bundle.refused("kill", "c1", "TERM")
    bundle.ok("delete", "c1")
    assert "container does not exist: c1" in bundle.refused("state", "c1")


def test_what_is_changed_after_the_creation_does_not_matter(bundle: Any) -> None:
    bundle.sh("echo first")
    bundle.ok("create", "c1")
    bundle.sh("echo second")
    bundle.ok("start", "c1")
    eventually(lambda: (bundle.directory / "out.1").read_text() == "first\n")


def test_a_created_container_may_be_deleted(bundle: Any) -> None:
    bundle.ok("create", "c1")
    assert "container with id exists: c1" in bundle.refused("create", "c1")
    bundle.ok("delete", "c1")
    assert "does not exist" in bundle.refused("state", "c1")


def test_to_delete_what_is_not_there(bundle: Any) -> None:
    assert "does not exist" in bundle.refused("delete", "c1")
    bundle.ok("delete", "--force", "c1")


def test_a_killed_command_leaves_no_process(bundle: Any) -> None:
    """Killed while its child waits for a hook that hangs: the child must not wait for ever."""
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"]}]}
    bundle.write("c1")
    words = [str(bundle.command), "--root", str(bundle.state_root), "create", "c1"]
    with subprocess.Popen(words, cwd=bundle.directory, stdin=subprocess.DEVNULL) as creation:
        eventually((bundle.state_root / "c1" / "state.json").exists)
        assert bundle.state()["status"] == "creating"
        hook = eventually(lambda: [pid for pid in _children(creation.pid) if _words(pid)[1:] == ["1000"]])
        creation.kill()
    eventually(lambda: bundle.state()["status"] == "stopped")
    for pid in hook:
        os.kill(pid, signal.SIGKILL)
    bundle.ok("delete", "c1")


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _words(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    return []


def test_pause_resume_and_the_list(bundle: Any) -> None:
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    bundle.ok("pause", "c1")
    assert bundle.state()["status"] == "paused"
    assert "cannot exec in a container that is paused" in bundle.refused("exec", "c1", "true")
    listed = json.loads(bundle.ok("list", "--format", "json"))
    assert [(one["id"], one["status"]) for one in listed] == [("c1", "paused")]
    bundle.ok("resume", "c1")
    assert "cannot resume" in bundle.refused("resume", "c1")
    assert json.loads(bundle.ok("ps", "--format", "json", "c1")) == _numbers(bundle.group("pids") / "cgroup.procs")
    assert "c1" in bundle.ok("list", "-q").split()
    bundle.ok("pause", "c1")
    bundle.ok("delete", "--force", "c1")


def _numbers(path: Path) -> list[int]:
    return sorted(map(int, path.read_text().split()))


def test_update(bundle: Any) -> None:
    bundle.sh("sleep 1000")
    bundle.linux["resources"]["memory"] = {"limit": 64 << 20}
    bundle.ok("run", "--detach", "c1")
    bundle.ok("update", "--memory", "32M", "--memory-swap", "64M", "--pids-limit", "20", "c1")
    memory, cpu, pids = (bundle.group(controller) for controller in ("memory", "cpu", "pids"))
    assert _numbers(memory / "memory.limit_in_bytes") == [32 << 20]
    (bundle.directory / "r.json").write_text(json.dumps({"cpu": {"quota": 20000, "period": 50000}}))
    bundle.ok("update", "--resources", "r.json", "c1")
    assert _numbers(cpu / "cpu.cfs_quota_us") + _numbers(cpu / "cpu.cfs_period_us") == [20000, 50000]
    assert _numbers(memory / "memory.limit_in_bytes") == [32 << 20]
    assert _numbers(pids / "pids.max") == [20]
    bundle.ok("update", "--memory", "-1", "c1")
    assert _numbers(memory / "memory.limit_in_bytes") > [2**60] < _numbers(memory / "memory.memsw.limit_in_bytes")


def test_update_below_a_limit_of_the_parents(bundle: Any) -> None:
    """Period and quota are two files, and the one without the other would be more than the parent's."""
    parent, group = bundle.group("cpu").parent, bundle.group("cpu")
    bundle.sh("sleep 1000")
    bundle.linux["resources"]["cpu"] = {"quota": 40_000, "period": 100_000}
    bundle.ok("run", "--detach", "c1")
    (parent / "cpu.cfs_quota_us").write_text("50000")
    for period, quota in ((10_000, 4_000), (200_000, 90_000)):
        bundle.ok("update", "--cpu-period", str(period), "--cpu-quota", str(quota), "c1")
        assert _numbers(group / "cpu.cfs_period_us") + _numbers(group / "cpu.cfs_quota_us") == [period, quota]
    bundle.ok("delete", "--force", "c1")
    (parent / "cpu.cfs_quota_us").write_text("-1")


@pytest.mark.skipif(not os.path.exists("/sys/fs/cgroup/cpu/cpu.idle"), reason="this kernel has no idle groups")
def test_idle_and_burst(bundle: Any) -> None:
    group = bundle.group("cpu")
    bundle.sh("sleep 1000")
    bundle.linux["resources"]["cpu"] = {"quota": 50_000, "burst": 10_000, "idle": 1, "shares": 512}
    bundle.ok("run", "--detach", "c1")
    assert _numbers(group / "cpu.idle") + _numbers(group / "cpu.cfs_burst_us") == [1, 10_000]
    bundle.ok("update", "--cpu-share", "256", "c1")
    (bundle.directory / "r.json").write_text(json.dumps({"cpu": {"idle": 0, "burst": 0}}))
    bundle.ok("update", "--resources", "r.json", "c1")
    assert _numbers(group / "cpu.idle") + _numbers(group / "cpu.cfs_burst_us") == [0, 0]
    bundle.ok("delete", "--force", "c1")


def test_signals(bundle: Any) -> None:
    """0 only asks; and what a first process without a pid namespace leaves behind can be killed after it."""
    bundle.linux["namespaces"] = [entry for entry in bundle.linux["namespaces"] if entry["type"] != "pid"]
    bundle.sh("sleep 1000 & echo $! > /pid; while true; do sleep 0.1; done")
    bundle.ok("run", "--detach", "c1")
    left = int(eventually((bundle.rootfs / "pid").read_text))
    bundle.ok("kill", "c1", "0")
    assert "no signal 'NONE'" in bundle.refused("kill", "c1", "NONE")
    os.kill(bundle.state()["pid"], signal.SIGKILL)
    eventually(lambda: bundle.state()["status"] == "stopped")
    assert "container not running" in bundle.refused("kill", "c1", "0")
    bundle.ok("kill", "c1", "KILL")
    eventually(lambda: not bundle.group("pids").joinpath("cgroup.procs").read_text())
    assert not os.path.exists(f"/proc/{left}/exe")
    assert "container not running" in bundle.refused("kill", "c1", "KILL")


def test_a_bundle_that_names_no_cgroup_gets_one(bundle: Any) -> None:
    name = f"none-{os.getpid()}"
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", name)
    path = Path(f"/sys/fs/cgroup/pids/mini-oci/{name}")
    assert _numbers(path / "cgroup.procs") == [bundle.state(name)["pid"]]
    bundle.ok("delete", "--force", name)
    assert not path.exists()


def test_exec(bundle: Any) -> None:
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    said = bundle.ok("exec", "--user", "1000:10", "--cwd", "/tmp", "--env", "A=b", "c1", "sh", "-c", "id; pwd; echo $A")
    assert said == "uid=1000(alice) gid=10(wheel)\n/tmp\nb\n"
    assert bundle.call("exec", "c1", "sh", "-c", "exit 9").returncode == 9
    assert bundle.call("exec", "c1", "sh", "-c", "kill -9 $$").returncode == 137
    assert '"nosuch": executable file not found in $PATH' in bundle.refused("exec", "c1", "nosuch")
    process = {**bundle.process, "args": ["sh", "-c", "echo detached > /tmp/it; sleep 1000"], "cwd": "/"}
    (bundle.directory / "process.json").write_text(json.dumps(process))
    bundle.ok("exec", "--detach", "--process", "process.json", "--pid-file", "pid", "c1")
    pid = int((bundle.directory / "pid").read_text())
    assert os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{bundle.state()['pid']}/ns/pid")
    eventually((bundle.rootfs / "tmp" / "it").exists)


def test_descriptors_that_are_handed_on(bundle: Any) -> None:
    read_end, write_end = os.pipe()
    script = "import os,sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    bundle.sh("echo hello >&3; ls /proc/self/fd")
    words = ["python3", "-c", script, str(write_end), str(bundle.command), "--root", str(bundle.state_root)]
    bundle.write("c1")
    done = subprocess.run(
        [*words, "run", "--preserve-fds", "1", "c1"],
        cwd=bundle.directory,
        pass_fds=[write_end],
        capture_output=True,
        text=True,
        check=True,
    )
    os.close(write_end)
    assert os.read(read_end, 100) == b"hello\n"
    # 4 is the directory that ls reads.
    assert done.stdout.split() == ["0", "1", "2", "3", "4"]
    os.close(read_end)


def test_a_terminal_goes_through_the_console_socket(bundle: Any) -> None:
    bundle.process.update(terminal=True, consoleSize={"height": 33, "width": 99})
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.sh("tty; ls -ln /dev/console; stat -c %t:%T:%u $(tty); read line; echo got $line")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bundle.directory / "console"))
        server.listen(1)
        bundle.ok("run", "--detach", "--console-socket", "console", "c1")
        master = _receive(server)
    os.write(master, b"typed\n")
    said = _read_all(master)
    assert b"/dev/pts/0" in said
    assert b"88:0:1000" in said
    assert b"136,   0" in said
    assert b"got typed" in said


def _receive(server: socket.socket) -> int:
    connection, _address = server.accept()
    with connection:
        _data, extra, _flags, _peer = connection.recvmsg(100, socket.CMSG_LEN(4))
    return array.array("i", extra[0][2][:4])[0]


def _read_all(master: int) -> bytes:
    found = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            os.close(master)
            return found
        found += chunk


def test_a_terminal_in_the_foreground(bundle: Any) -> None:
    bundle.process["terminal"] = True
    assert bundle.run("tty; test -t 0 && echo yes") == "/dev/pts/0\r\nyes\r\n"
    bundle.process["terminal"] = False
    bundle.sh("sleep 1000")
    bundle.ok("run", "--detach", "c1")
    assert bundle.ok("exec", "--tty", "c1", "tty") == "/dev/pts/0\r\n"
    assert "a terminal has to go somewhere" in bundle.refused("exec", "--tty", "--detach", "c1", "tty")


def test_hooks_in_order_with_the_state(bundle: Any) -> None:
    """Where each runs shows in what it sees: the host's files or the container's, which pid 1."""
    note = bundle.rootfs / "note"
    note.touch()
    outside = f'read state; echo $0 $(readlink /proc/self/ns/uts) >> {note}; echo "$state" > {bundle.directory}/$0'
    inside = "read state; echo $0 $(readlink /proc/self/ns/uts) >> /note"
    host = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", outside, kind]}] for kind in host}
    bundle.config["hooks"]["startContainer"] = [{"path": "/bin/sh", "args": ["sh", "-c", inside, "startContainer"]}]
    for hooks in bundle.config["hooks"].values():
        hooks[0]["env"] = ["PATH=/bin:/usr/bin"]
    bundle.sh("echo process >> /note; sleep 1000")
    bundle.ok("create", "c1")
    bundle.ok("start", "c1")
    theirs = os.readlink(f"/proc/{bundle.state()['pid']}/ns/uts")
    eventually(lambda: "process" in note.read_text())
    bundle.ok("delete", "--force", "c1")
    lines = [line.split() for line in note.read_text().splitlines() if line != "process"]
    names = [words[0] for words in lines]
    assert names[:4] == ["prestart", "createRuntime", "createContainer", "startContainer"]
    assert names[4:] == ["poststart", "poststop"]
    inside_kinds = {words[0] for words in lines if words[1] == theirs}
    assert inside_kinds == {"createContainer", "startContainer"}
    told = {kind: json.loads((bundle.directory / kind).read_text()) for kind in host}
    assert [told[kind]["status"] for kind in host] == ["creating"] * 3 + ["running", "stopped"]
    assert all(one["id"] == "c1" and one["bundle"] == str(bundle.directory) for one in told.values())
    assert told["prestart"]["pid"] == told["poststart"]["pid"] > 0


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_ends_the_creation(bundle: Any, kind: str) -> None:
    bundle.config["hooks"] = {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo no way >&2; exit 3"]}]}
    assert f"the {kind} hook /bin/sh ended with exit code 3: no way" in bundle.refused("create", "c1")
    assert not (bundle.state_root / "c1").exists()


def test_a_hook_that_takes_too_long_is_ended(bundle: Any) -> None:
    bundle.config["hooks"] = {"prestart": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]}
    assert "ran longer than its 1 s" in bundle.refused("create", "c1")


def test_a_poststart_hook_that_fails_ends_the_container(bundle: Any) -> None:
    bundle.config["hooks"] = {"poststart": [{"path": "/bin/false"}]}
    bundle.sh("sleep 1000")
    bundle.ok("create", "c1")
    assert "the poststart hook /bin/false ended with exit code 1" in bundle.refused("start", "c1")
    assert "does not exist" in bundle.refused("state", "c1")


def test_a_poststop_hook_that_fails_is_a_warning(bundle: Any) -> None:
    bundle.config["hooks"] = {"poststop": [{"path": "/bin/false"}, {"path": "/bin/touch", "args": ["touch", "after"]}]}
    done = bundle.call("run", "c1")
    assert done.returncode == 0
    assert "warning: the poststop hook /bin/false ended with exit code 1" in done.stderr
    assert (bundle.directory / "after").exists(), "it runs in the bundle, and so does the one after it"


def test_a_start_container_hook_that_fails_is_an_error_of_the_start(bundle: Any) -> None:
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/false"}]}
    bundle.sh("touch /ran")
    bundle.ok("create", "c1")
    assert "the startContainer hook /bin/false ended with exit code 1" in bundle.refused("start", "c1")
    assert bundle.state()["status"] == "stopped"
    assert not (bundle.rootfs / "ran").exists()


def test_a_program_that_the_kernel_refuses_is_an_error_of_the_start(bundle: Any) -> None:
    (bundle.rootfs / "bin" / "junk").write_text("junk")
    (bundle.rootfs / "bin" / "junk").chmod(0o755)
    bundle.process["args"] = ["/bin/junk"]
    bundle.ok("create", "c1")
    assert 'exec: "/bin/junk": exec format error' in bundle.refused("start", "c1")


def test_errors_as_engines_read_them(bundle: Any) -> None:
    bundle.process["args"] = ["nosuch"]
    done = bundle.call("--log", "log.json", "--log-format", "json", "create", "c1")
    assert done.returncode == 1
    entry = json.loads((bundle.directory / "log.json").read_text().splitlines()[-1])
    assert entry["level"] == "error"
    assert 'exec: "nosuch": executable file not found in $PATH' in entry["msg"]
    assert entry["msg"] in done.stderr
    bundle.process["args"] = ["/etc/passwd"]
    assert 'exec: "/etc/passwd": permission denied' in bundle.refused("create", "c1")


def test_features_and_spec(bundle: Any) -> None:
    features = json.loads(bundle.ok("features"))
    assert {"createContainer", "poststop"} <= set(features["hooks"])
    assert {"rro", "rbind", "tmpcopyup", "rslave"} <= set(features["mountOptions"])
    (bundle.directory / "new").mkdir()
    bundle.ok("spec", "--bundle", "new")
    bundle.config = json.loads((bundle.directory / "new" / "config.json").read_text())
    bundle.process["terminal"] = False
    assert bundle.run("hostname; touch /x 2>&1 | grep -o Read-only") == "mini\nRead-only\n"
