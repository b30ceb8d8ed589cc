# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away host for each test: a network namespace, a state root, and a look for leaks at the end.

The tests run on the real kernel, as root. The machine's own interfaces and rules are out of their sight.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.core.specs.network import NetworkSpec, Subnet
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import converge as containers
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import execute, waiting
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.living import live_process
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import (
    ContainerRecord,
    find,
    id_of,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.networks import converge as networks
from ansible_collections.mini.containers.plugins.module_utils.engine.runtime import ExecResult
from ansible_collections.mini.containers.plugins.module_utils.glue.container import wish
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from ansible_collections.mini.containers.plugins.module_utils.image.writer import ImageWriter, image_document
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount import set_propagation
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MS_PRIVATE
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

from .waiting import PATIENCE, eventually

BUSYBOX = "/bin/busybox"
COMMANDS = (
    "sh cat chmod chown cp cut dd echo env false find grep head hostname httpd id ip kill ln ls mkdir mknod mount mv nc"
    " ping printf ps pwd readlink rm sed seq sleep sort stat su sync test touch tr true umount uname wc wget".split()
)
NEEDED = (BUSYBOX, "/usr/sbin/iptables", "/usr/sbin/ip")
DEFAULTS = {
    "state": "started",
    "recreate": False,
    "restart": False,
    "force_kill": False,
}


@pytest.fixture(scope="session", autouse=True)
def _own_mounts() -> None:
    """What a failing test leaves mounted goes with this process."""
    missing = [path for path in NEEDED if not os.path.exists(path)]
    if os.getuid() != 0 or missing:
        pytest.exit(f"the kernel tests need root and {', '.join(missing) or 'nothing else'}", returncode=3)
    libc.unshare(libc.CLONE_NEWNS)
    set_propagation(MS_PRIVATE)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root file system of an image: busybox and a few users."""
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "etc", "tmp", "var", "root"):
        (root / name).mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy2(BUSYBOX, root / "bin" / "busybox")
    for name in COMMANDS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\nalice:x:1000:\nwheel:x:10:alice\naudio:x:29:alice,root\n")
    return root


class Host:
    """One throw-away host, and short words for what is done on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.seen: set[str] = set()
        self.paths = Paths(str(directory / "state"), str(directory / "run"))

    def container(self, name: str = "c", **options: Any) -> containers.Outcome:
        """What the task `mini_container` does; `check` for check mode, `observer` for an observer."""
        extra = {key: options.pop(key) for key in ("check", "observer") if key in options}
        params = {**DEFAULTS, "name": name, **options}
        if params["state"] != "absent" and id_of(self.paths, name) is None:
            params = {"image": "box", "command": "sleep 1000", "stop_timeout": 0, **params}
        self._look()
        try:
            return containers.converge(self.paths, wish(params), **extra)
        finally:
            self._look()

    def _look(self) -> None:
        """Remember which containers there were: only their cgroups are this host's."""
        if os.path.isdir(self.paths.containers):
            self.seen.update(os.listdir(self.paths.containers))

    def run(self, command: Any, name: str = "run", **options: Any) -> waiting.Finished:
        """A container in the foreground, removed afterwards."""
        try:
            outcome = self.container(name, command=command, **options)
            assert outcome.record
            return waiting.wait(self.paths, outcome.record)
        finally:
            self.absent(name)

    def image(self, name: str, rootfs: Path, **config: Any) -> None:
        """A directory as an image of one layer."""
        _import_image(self.paths, name, rootfs, **config)

    def network(self, name: str = "lan", *subnets: str, **fields: Any) -> None:
        """What the task `mini_network` does."""
        if any(":" in subnet for subnet in subnets):
            fields["enable_ipv6"] = True
        spec = NetworkSpec(name, ipam_config=tuple(map(Subnet, subnets)), **fields)
        networks.ensure(self.paths, spec, set(fields))

    def no_network(self, *names: str) -> None:
        """Remove networks."""
        for name in names:
            networks.remove(self.paths, name)

    def absent(self, *names: str) -> None:
        """Remove containers."""
        for name in names:
            self.container(name, state="absent")

    def exec(self, name: str, *args: str, **options: Any) -> ExecResult:
        """A command in a running container."""
        fields = {"user": None, "cwd": None, "env": {}, **options}
        return execute.execute(self.paths, name, args, **fields)

    def record(self, name: str = "c") -> ContainerRecord:
        """The container's record."""
        record = find(self.paths, name)
        assert record is not None
        return record

    def state(self, name: str = "c") -> dict[str, Any]:
        """What the monitor wrote."""
        return state.read(self.paths.run_state(self.record(name).id))

    def pid(self, name: str = "c") -> int:
        """The pid of the container's first process on the host, 0 when it does not run."""
        init = live_process(self.state(name))
        return init.pid if init else 0

    def ended(self, name: str = "c") -> dict[str, Any]:
        """What the monitor wrote about a container's end, when that is over: the monitor has ended with it."""
        eventually(lambda: self.state(name).get("status") == state.EXITED)
        monitor = state.process(self.state(name), "monitor")
        assert monitor is None or monitor.wait(PATIENCE)
        return self.state(name)

    def cgroup_file(self, name: str, controller: str, file: str) -> str:
        """A value of the container's cgroup, whichever version the host has."""
        container_id = self.record(name).id
        found = [
            path
            for pattern in (f"/sys/fs/cgroup/{controller}/mini/{container_id}", f"/sys/fs/cgroup/mini/{container_id}")
            for path in glob.glob(os.path.join(pattern, file))
        ]
        return Path(found[0]).read_text().strip()

    def snapshot(self) -> dict[str, Any]:
        """Everything that must be as before when a test has cleaned up."""
        return {
            "links": _lines("ip", "-o", "link"),
            "rules": [line for line in _lines("iptables-save") if line.startswith(("-", ":MINI"))],
            "table": _lines("sh", "-c", "nft -s list table inet mini 2>/dev/null || true"),
            "mounts": sorted(Path("/proc/self/mountinfo").read_text().splitlines()),
            "cgroups": [path for path in _cgroups() if os.path.basename(path.rstrip("/")) in self.seen],
            "processes": self.processes(),
            "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
            "state": self.left(),
        }

    def processes(self) -> list[str]:
        """The processes that were started from this host's state root."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                raw = Path(path).read_bytes()
                if os.fsencode(self.directory) in raw and b"runtime" in raw:
                    found.append(raw.replace(b"\0", b" ").decode())
        return sorted(found)

    def left(self) -> list[str]:
        """What stands in the state directories, but for images, code and locks, which may stay."""
        patterns = ("state/container/*", "state/name/*", "state/network/*", "run/container/*", "run/port/*")
        return sorted(path for pattern in patterns for path in glob.glob(str(self.directory / pattern)))


def _import_image(paths: Paths, name: str, rootfs: Path, **config: Any) -> None:
    """The directory as an image of one layer."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(rootfs, arcname=".")
    packed.seek(0)
    store = ImageStore(paths)
    with store.locked(), Workspace(paths) as work:
        layer = take_in(packed, work)
        writer = ImageWriter(store)
        document = image_document(ImageConfig(**{"env": {"PATH": "/bin"}, **config}), (layer.diff_id,), "", (), None)
        writer.name(writer.add(document, (layer.descriptor,), [layer]), f"{name}:latest")


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def _cgroups() -> list[str]:
    return sorted(glob.glob("/sys/fs/cgroup/*/mini/*/") + glob.glob("/sys/fs/cgroup/mini/*/"))


@pytest.fixture
def host(tmp_path: Path, rootfs: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host with the image `box`. The test has to clean up: what it leaves fails it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc.unshare(libc.CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        found = Host(tmp_path)
        _import_image(found.paths, "box", rootfs)
        before = found.snapshot()
        yield found
        _compare(found, before, failed=getattr(request.node, "failed", False))
    finally:
        libc.setns(home, libc.CLONE_NEWNET)
        os.close(home)


def _compare(found: Host, before: dict[str, Any], *, failed: bool) -> None:
    """The kernel takes namespaces down in the background, and who removes a container may be on its way."""
    deadline = time.monotonic() + (5 if failed else PATIENCE)
    after = found.snapshot()
    while after != before and time.monotonic() < deadline:
        time.sleep(0.05)
        after = found.snapshot()
    if after != before and failed:
        for name in os.listdir(found.paths.names) if os.path.isdir(found.paths.names) else []:
            found.absent(name)
        return
    assert after == before


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let the fixture know that the test has failed already: its leak is no news then, but is cleared away."""
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed  # type: ignore[attr-defined]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a playbook on this host with the Ansible beside this Python."""
    program = Path(sys.executable).with_name("ansible-playbook")
    if not program.exists():
        pytest.skip("no controller beside this Python")
    collections = next(path for path in sys.path if Path(path, "ansible_collections", "mini").is_dir())
    settings = {
        "ANSIBLE_CONFIG": str(Path(__file__).resolve().parents[2] / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": collections,
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    }

    def run(text: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "play.yml").write_text(text)
        command = [str(program), "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"), *arguments]
        env = {**os.environ, **settings, **environment}
        return subprocess.run(command, check=False, capture_output=True, text=True, env=env)

    return run
