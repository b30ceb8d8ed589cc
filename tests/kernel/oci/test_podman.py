# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman and conmon drive the command as they drive runc."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from ..waiting import eventually
from .clients import ASK, SCRIPT, WHO, Podman

pytestmark = pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed")


@pytest.fixture
def podman(tmp_path: Path, rootfs: Path, command: Path) -> Iterator[Podman]:
    # Its directories must have short names: there are sockets in them.
    directory = Path(tempfile.mkdtemp(prefix="mini-", dir="/tmp"))
    found = Podman(directory, command)
    found.import_box(rootfs, tmp_path / "box.tar")
    yield found
    found.ok("rm", "--all", "--force", "--time", "0")
    assert found.ok("ps", "--all", "--quiet") == ""
    _remove_groups()
    shutil.rmtree(directory)


def _remove_groups() -> None:
    """Podman leaves the cgroup of its monitors, who may be about to end."""
    for path in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        eventually(partial(_removed, path))


def _removed(path: Path) -> bool:
    for directory, _directories, _files in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not path.exists()


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
    podman.ok("stop", "--time", "60", "c1")
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
    assert b"yes" in podman.on_a_terminal("run", "--rm", "-it", *podman.options, "box", *ASK)
    podman.run("--detach", "--name", "c1", "box", "sleep", "1000")
    assert b"yes" in podman.on_a_terminal("exec", "-it", "c1", *ASK)


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
