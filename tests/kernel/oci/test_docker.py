# SPDX-License-Identifier: GPL-3.0-or-later
"""dockerd and containerd's shim drive the command as they drive runc."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..waiting import eventually
from .clients import ASK, SCRIPT, WHO, Docker

pytestmark = pytest.mark.skipif(
    not (shutil.which("dockerd") and shutil.which("docker") and shutil.which("containerd")),
    reason="docker is not installed",
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, rootfs: Path, command: Path) -> Iterator[Docker]:
    directory = tmp_path_factory.mktemp("docker")
    found = Docker(directory, command)
    try:
        found.import_box(rootfs, directory / "box.tar")
        yield found
    finally:
        found.end()
        for path in Path("/sys/fs/cgroup").glob("*/docker"):
            path.rmdir()


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    yield daemon
    for name in daemon.ok("ps", "--all", "--quiet").split():
        daemon.ok("rm", "--force", name)
    eventually(lambda: not list(Path("/sys/fs/cgroup").glob("*/docker/*/")))


def test_the_life_of_a_container(docker: Docker) -> None:
    docker.run("--detach", "--name", "one", "box", "sh", "-c", SCRIPT)
    assert docker.ok("exec", "one", "id", "-u") == "0\n"
    assert docker.call("exec", "one", "sh", "-c", "exit 7").returncode == 7
    assert docker.ok("exec", "--interactive", "one", "cat", input="through\n") == "through\n"
    assert docker.ok("exec", "--user", "alice", "--workdir", "/tmp", "one", *WHO) == "alice\n/tmp\n"
    docker.ok("pause", "one")
    assert "Paused" in docker.ok("ps", "--format", "{{.Status}}")
    docker.ok("unpause", "one")
    docker.ok("update", "--memory", "64m", "--memory-swap", "128m", "--pids-limit", "77", "one")
    said = docker.ok("exec", "one", "sh", "-c", "cat /sys/fs/cgroup/*/pids.max /sys/fs/cgroup/*/memory.limit_in_bytes")
    assert said.split() == ["77", str(64 << 20)]
    assert "echo hello" in docker.ok("top", "one")
    docker.ok("stop", "--time", "60", "one")
    assert docker.ok("inspect", "--format", "{{.State.ExitCode}}", "one") == "3\n"
    assert docker.ok("logs", "one") == "hello\n"
    docker.ok("start", "one")
    docker.ok("rm", "--force", "one")


@pytest.mark.parametrize(("program", "code"), [("nosuch", 127), ("/etc/passwd", 126), ("false", 1)])
def test_exit_codes(docker: Docker, program: str, code: int) -> None:
    assert docker.call("run", "--rm", "--network", "none", "box", program).returncode == code


def test_exec_of_nothing_ends_as_under_runc(docker: Docker) -> None:
    found = {}
    for runtime in ("mini", "runc"):
        docker.run("--detach", "--runtime", runtime, "--name", f"one-{runtime}", "box", "sleep", "1000")
        found[runtime] = docker.call("exec", f"one-{runtime}", "nosuch").returncode
    assert found["mini"] == found["runc"]


def test_a_terminal(docker: Docker) -> None:
    assert b"yes" in docker.on_a_terminal("run", "--rm", "-it", "--network", "none", "box", *ASK)
    docker.run("--detach", "--name", "one", "box", "sleep", "1000")
    assert b"yes" in docker.on_a_terminal("exec", "-it", "one", *ASK)


def test_options(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    flags = (
        "--read-only --cap-drop all --security-opt no-new-privileges --user 1000:1000 --pids-limit 30 --hostname other"
        " --ulimit nofile=100:200 --oom-score-adj 500 --shm-size 1m --device /dev/zero:/dev/z --cpu-shares 512"
        " --sysctl net.ipv4.ip_forward=1 --tmpfs /t"
    )
    script = (
        "touch /x /data/x; hostname; ulimit -n; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward;"
        " cat /sys/fs/cgroup/*/pids.max /sys/fs/cgroup/cpu*/cpu.shares; stat -c %t:%T /dev/z;"
        " grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    )
    volume = f"{tmp_path}/data:/data:ro"
    done = docker.call("run", "--rm", "--network", "none", *flags.split(), "-v", volume, "box", "sh", "-c", script)
    assert done.stderr.count("Read-only file system") == 2
    assert done.stdout.splitlines() == [
        "other", "100", "500", "1", "30", "512", "1:5", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
    ]  # fmt: skip


def test_a_privileged_container(docker: Docker) -> None:
    said = docker.run(
        "--rm",
        "--privileged",
        "box",
        "sh",
        "-c",
        "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted",
    )
    assert said == "Seccomp:\t0\nmounted\n"


def test_the_hosts_namespaces(docker: Docker) -> None:
    options = "--network host --pid host --ipc host --uts host".split()
    said = docker.ok("run", "--rm", *options, "box", "readlink", "/proc/self/ns/pid")
    assert said == f"{os.readlink('/proc/self/ns/pid')}\n"
