# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `mini-oci`, made as `make runtime` makes it, and bundles to give it."""

from __future__ import annotations

import copy
import glob
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..waiting import PATIENCE

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = Path("/usr/bin/python3")
NAMES = ("c1", "c2")
GROUP = f"/mini-oci-{os.getpid()}"
CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_NET_BIND_SERVICE"]
SAFE = ["nosuid", "noexec", "nodev"]
CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
    },
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": SAFE},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*SAFE, "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
    },
}


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that `make runtime` makes."""
    target = tmp_path_factory.mktemp("build") / "mini-oci"
    python = str(HERE) if HERE.exists() else sys.executable
    subprocess.run([python, str(REPOSITORY / "tools" / "make_runtime.py"), str(target)], check=True)
    return target


class Bundle:
    """A bundle on disk, and the command that is given it."""

    def __init__(self, directory: Path, rootfs: Path, command: Path) -> None:
        self.directory = directory
        self.command = command
        self.state_root = directory / "state"
        self.rootfs = directory / "rootfs"
        shutil.copytree(rootfs, self.rootfs, symlinks=True)
        for name in ("tty", "stty", "mkfifo"):
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.calls = 0
        self.config: dict[str, Any] = copy.deepcopy(CONFIG)

    @property
    def process(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["linux"]
        return found

    def mount(self, destination: str, kind: str, source: Any, *options: str) -> None:
        entry = {"destination": destination, "type": kind, "source": str(source), "options": list(options)}
        self.config["mounts"].append(entry)

    def sh(self, script: str) -> None:
        """What the container runs."""
        self.process["args"] = ["sh", "-c", script]

    def write(self, *arguments: str) -> None:
        """The bundle's file. Its cgroup is a name that no other run of the tests has at the same time."""
        config = copy.deepcopy(self.config)
        name = next((argument for argument in arguments if argument in NAMES), "")
        if name and isinstance(config.get("linux"), dict):
            config["linux"].setdefault("cgroupsPath", f"{GROUP}/{name}")
        (self.directory / "config.json").write_text(json.dumps(config))

    def group(self, controller: str, name: str = "c1") -> Path:
        """The container's cgroup."""
        return Path(f"/sys/fs/cgroup/{controller}{GROUP}/{name}")

    def call(self, *arguments: str, runtime: Any = None, **options: Any) -> subprocess.CompletedProcess[str]:
        """Call the command, or another one, whatever comes of it."""
        self.write(*arguments)
        # Its streams are files: a container that lives on would keep a pipe open, and us waiting.
        self.calls += 1
        out, err = self.directory / f"out.{self.calls}", self.directory / f"err.{self.calls}"
        words = [str(runtime or self.command), "--root", str(self.state_root), *arguments]
        with out.open("wb") as stdout, err.open("wb") as stderr:
            given = {
                "stdin": subprocess.DEVNULL,
                "stdout": stdout,
                "stderr": stderr,
                "timeout": 2 * PATIENCE,
                **options,
            }
            done = subprocess.run(words, cwd=self.directory, check=False, **given)
        return subprocess.CompletedProcess(words, done.returncode, out.read_bytes().decode(), err.read_bytes().decode())

    def ok(self, *arguments: str, **options: Any) -> str:
        """Call the command; what it says, if all is well."""
        done = self.call(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, script: str = "", **options: Any) -> str:
        """Run the container to its end; what it says."""
        if script:
            self.sh(script)
        return self.ok("run", "c1", **options)

    def refused(self, *arguments: str, **options: Any) -> str:
        """Call the command; the error that it must end with."""
        done = self.call(*arguments, **options)
        assert done.returncode == (255 if arguments[0] == "exec" else 1), done.stdout
        assert len(done.stderr.splitlines()) == 1, done.stderr
        return done.stderr.strip()

    def state(self, name: str = "c1") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ok("state", name))
        return found


@pytest.fixture
def bundle(tmp_path: Path, rootfs: Path, command: Path) -> Iterator[Bundle]:
    """A bundle; whatever is left of its containers afterwards fails the test."""
    found = Bundle(tmp_path, rootfs, command)
    before = _world(tmp_path)
    yield found
    for name in _containers(found):
        found.call("delete", "--force", name)
    deadline = time.monotonic() + PATIENCE
    while _world(tmp_path) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _world(tmp_path) == before
    for path in glob.glob(f"/sys/fs/cgroup/*{GROUP}"):
        os.rmdir(path)


def _containers(found: Bundle) -> list[str]:
    return [path.parent.name for path in found.state_root.glob("[!.]*/state.json")]


def _world(directory: Path) -> dict[str, list[str]]:
    groups = glob.glob(f"/sys/fs/cgroup{GROUP}/*/") + glob.glob(f"/sys/fs/cgroup/*{GROUP}/*/")
    return {
        "mounts": Path("/proc/self/mountinfo").read_text().splitlines(),
        "cgroups": sorted(groups),
        "containers": sorted(str(path) for path in (directory / "state").glob("[!.]*")),
        "processes": _processes(os.fsencode(str(directory))),
    }


def _processes(word: bytes) -> list[str]:
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            raw = Path(path).read_bytes()
        except OSError:
            continue
        if word in raw:
            found.append(raw.replace(b"\0", b" ").decode(errors="replace"))
    return sorted(found)
