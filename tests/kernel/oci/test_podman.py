# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman and conmon drive the command as they drive runc."""

from __future__ import annotations

import contextlib
import os
import pty
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed")

SCRIPT = "echo hello; trap 'exit 3' TERM; while :; do sleep 0.1; done"
WHO = ("sh", "-c", "id -un; pwd")
ASK = ("sh", "-c", "test -t 0 && test -t 1 && echo yes")


class Podman:
    """A store of its own, and containers that run under the command."""

    def __init__(self, directory: Path, command: Path) -> None:
        self.words = ["podman", "--runtime", str(command), "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs"]
        for option in ("root", "runroot", "tmpdir"):
            self.words += [f"--{option}", str(directory / option)]
        # Root here cannot raise what it was started with, and Podman asks for more.
        limits = [("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)]
        hard = {name: min(resource.getrlimit(number)[1], 1 << 15) for name, number in limits}
        self.options = ["--network", "none", *(f"--ulimit={name}={value}:{value}" for name, value in hard.items())]

    def call(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.words, *arguments], check=False, capture_output=True, text=True, timeout=120, **options
        )

    def ok(self, *arguments: str, **options: Any) -> str:
        done = self.call(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, **options: Any) -> str:
        return self.ok("run", *self.options, *arguments, **options)


@pytest.fixture
def podman(tmp_path: Path, rootfs: Path, command: Path) -> Iterator[Podman]:
    # Its directories must have short names: there are sockets in them.
    directory = Path(tempfile.mkdtemp(prefix="mini-", dir="/tmp"))
    found = Podman(directory, command)
    packed = tmp_path / "box.tar"
    subprocess.run(["tar", "-C", str(rootfs), "-cf", str(packed), "."], check=True)
    found.ok("import", "--change", "ENV PATH=/bin", str(packed), "box")
    yield found
    found.ok("rm", "--all", "--force", "--time", "0")
    assert found.ok("ps", "--all", "--quiet") == ""
    _remove_groups()
    shutil.rmtree(directory)


def _remove_groups() -> None:
    """Podman leaves the cgroup of its monitors, who may be about to end."""
    deadline = time.monotonic() + 10
    for path in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        while path.exists() and time.monotonic() < deadline:
            for directory, _directories, _files in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
            time.sleep(0.01)


def test_the_life_of_a_container(podman: Podman) -> None:
    podman.run("--detach", "--name", "c1", "box", "sh", "-c", SCRIPT)
    assert "Up" in podman.ok("ps", "--format", "{{.Status}}")
    assert podman.ok("exec", "c1", "id", "-u") == "0\n"
    assert podman.call("exec", "c1", "sh", "-c", "exit 7").returncode == 7
    assert podman.ok("exec", "--interactive", "c1", "cat", input="through\n") == "through\n"
    assert podman.ok("exec", "--user", "alice", "--workdir", "/tmp", "c1", *WHO) == "alice\n/tmp\n"
    podman.ok("pause", "c1")
    assert "paused" in podman.ok("ps", "--all", "--format", "{{.State}} {{.Status}}").lower()
    podman.ok("unpause", "c1")
    podman.ok("stop", "--time", "10", "c1")
    assert podman.ok("inspect", "--format", "{{.State.ExitCode}}", "c1") == "3\n"
    assert podman.ok("logs", "c1") == "hello\n"
    podman.ok("start", "c1")
    podman.ok("rm", "--force", "--time", "0", "c1")


@pytest.mark.parametrize(("program", "code"), [("nosuch", 127), ("/etc/passwd", 126), ("false", 1)])
def test_exit_codes(podman: Podman, program: str, code: int) -> None:
    assert podman.call("run", "--rm", *podman.options, "box", program).returncode == code
    podman.run("--detach", "--name", "c1", "box", "sleep", "1000")
    assert podman.call("exec", "c1", program).returncode == code


def test_a_terminal(podman: Podman) -> None:
    assert _on_a_terminal([*podman.words, "run", "--rm", "-it", *podman.options, "box", *ASK])
    podman.run("--detach", "--name", "c1", "box", "sleep", "1000")
    assert _on_a_terminal([*podman.words, "exec", "-it", "c1", *ASK])


def _on_a_terminal(words: list[str]) -> bool:
    """Whether the command, which has a terminal from us, says yes."""
    master, slave = pty.openpty()
    with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        said = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                chunk = os.read(master, 4096)
            except OSError:
                break
            said += chunk
        os.close(master)
    assert process.returncode == 0, said
    return b"yes" in said


def test_confinement(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    flags = "--read-only --cap-drop all --security-opt no-new-privileges --user 1000:1000 --pids-limit 30 --memory 64m"
    script = "touch /x /data/x; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; cat /sys/fs/cgroup/*/pids.max"
    done = podman.call(
        "run", "--rm", *podman.options, *flags.split(), "-v", f"{tmp_path}/data:/data:ro", "--tmpfs", "/t:size=1m",
        "box", "sh", "-c", script,
    )  # fmt: skip
    assert done.stderr.count("Read-only file system") == 2
    assert {"CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "30"} <= set(done.stdout.splitlines())


def test_a_pod_of_namespaces(podman: Podman) -> None:
    podman.run("--detach", "--name", "c1", "box", "sleep", "1000")
    options = ["--pid", "container:c1", "--ipc", "container:c1", "--network", "container:c1", "--uts", "container:c1"]
    limits = podman.options[2:]
    assert "sleep 1000" in podman.ok("run", "--rm", *limits, *options, "box", "ps")
