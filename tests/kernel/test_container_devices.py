# SPDX-License-Identifier: GPL-3.0-or-later
"""The device cgroup: what nodes a container comes by, it opens only those it may. v2's program runs here, too.

The nodes are made from outside: without CAP_MKNOD the container cannot make them itself. They are of devices that a
process without capabilities could open, or that do not exist (ENXIO): nothing but the cgroup says EPERM.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import devices as rules
from ansible_collections.mini.containers.plugins.module_utils.linux import ebpf, libc
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import device_program, devices
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.devices import EVERYTHING, Allowed
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MNT_DETACH
from ansible_collections.mini.containers.plugins.module_utils.linux.probe import in_namespaces

KMSG = (stat.S_IFCHR, 1, 11)  # to be written only: reading it is for CAP_SYSLOG
FUSE = (stat.S_IFCHR, 10, 229)
DISK = (stat.S_IFBLK, 7, 0)
ZERO = (stat.S_IFCHR, 1, 5)
REFUSED = "Operation not permitted"


def _mknod(path: Path, kind: int, major: int, minor: int) -> None:
    os.mknod(path, kind | 0o666, os.makedev(major, minor))
    path.chmod(0o666)


@pytest.fixture(params=["start", "exec"])
def tries(host: Any, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """What a container says that opens a node which was smuggled into it."""

    def run(node: tuple[int, int, int], line: str) -> str:
        waiting = "while ! test -e /dev/go; do sleep 0.02; done"
        host.container(command=["sh", "-c", f"{waiting}; ({line}) > /said 2>&1; touch /done; sleep 1000"])
        inside = Path(f"/proc/{host.pid()}/root")
        _mknod(inside / "dev" / "smuggled", *node)
        if request.param == "exec":
            done = host.exec("c", "sh", "-c", line)
            return str((done.stdout + done.stderr).decode())
        (inside / "dev" / "go").touch()
        host.exec("c", "sh", "-c", "while ! test -e /done; do sleep 0.02; done")
        return (inside / "said").read_text()

    yield run
    host.absent("c")


@pytest.mark.parametrize(
    ("node", "mode"),
    [(KMSG, ">"), (FUSE, "<>"), (DISK, "<"), (DISK, ">")],
    ids="kmsg fuse disk-read disk-write".split(),
)
def test_a_device_that_is_not_allowed(tries: Any, node: tuple[int, int, int], mode: str) -> None:
    assert REFUSED in tries(node, f": {mode} /dev/smuggled")


def test_a_device_that_is_allowed(tries: Any) -> None:
    assert tries(ZERO, "head -c 3 /dev/smuggled | wc -c; echo x > /dev/smuggled && echo ok") == "3\nok\n"


def test_a_device_of_the_host_is_not_had_by_a_mount(host: Any, tmp_path: Path) -> None:
    """Nor through a bind of its node: this is where Docker wants `devices`, too."""
    _mknod(tmp_path / "kmsg", *KMSG)
    done = host.run(["sh", "-c", ": > /kmsg || true"], volumes=[f"{tmp_path}/kmsg:/kmsg"])
    assert REFUSED in done.stderr


def test_every_node_of_dev_is_usable(host: Any) -> None:
    names = "null zero full random urandom"
    done = host.run(["sh", "-c", f"for n in {names}; do : <> /dev/$n || echo $n; done; : < /dev/ptmx || echo ptmx"])
    assert (done.stdout, done.stderr) == ("", "")


def test_with_mknod_a_node_is_made_but_not_opened(host: Any) -> None:
    line = "mknod /dev/disk b 7 0 && echo made; : < /dev/disk"
    done = host.run(["sh", "-c", line], capabilities=["MKNOD"])
    assert done.stdout == "made\n"
    assert REFUSED in done.stderr


def test_privileged_has_them_all(host: Any) -> None:
    host.container(privileged=True)
    assert host.exec("c", "sh", "-c", "mknod /dev/kmsg c 1 11 && : > /dev/kmsg").rc == 0
    assert not host.container(privileged=True).plan
    host.container(privileged=False)
    _mknod(Path(f"/proc/{host.pid()}/root/dev/smuggled"), *KMSG)
    assert REFUSED in host.exec("c", "sh", "-c", ": > /dev/smuggled").stderr.decode()
    host.absent("c")


def test_without_the_controller_nothing_starts_but_privileged(host: Any) -> None:
    hierarchy = "/sys/fs/cgroup/devices"
    if not os.path.isdir(hierarchy):
        pytest.skip("the host has cgroup v2")

    def start(**options: Any) -> str:
        libc.umount2(hierarchy, MNT_DETACH)
        try:
            host.container(**options)
        except MiniError as exc:
            return str(exc)
        host.absent("c")
        return "started"

    refused = in_namespaces(libc.CLONE_NEWNS, start)
    assert "no devices cgroup controller; mount its hierarchy" in refused
    assert in_namespaces(libc.CLONE_NEWNS, lambda: start(privileged=True)) == "started"


def test_what_is_allowed_by_hand_is_taken_back(host: Any) -> None:
    """And a second run has nothing to do."""
    host.container()
    _allow_all_by_hand(host)
    _mknod(Path(f"/proc/{host.pid()}/root/dev/smuggled"), *KMSG)
    assert host.exec("c", "sh", "-c", "exec > /dev/smuggled").rc == 0
    (step,) = host.container().plan
    assert (step.name, "devices: " in step.reason) == ("set-limits", True)
    assert REFUSED in host.exec("c", "sh", "-c", "exec > /dev/smuggled").stderr.decode()
    assert host.exec("c", "sh", "-c", ": < /dev/zero").rc == 0
    assert not host.container().plan
    host.absent("c")


def _allow_all_by_hand(host: Any) -> None:
    container_id = host.record().id
    for found in glob.glob(f"/sys/fs/cgroup/devices/mini/{container_id}/devices.allow"):
        Path(found).write_text("a")
        return
    cgroup = os.open(f"/sys/fs/cgroup/mini/{container_id}", os.O_RDONLY)
    for program in ebpf.attached(cgroup):
        fd = ebpf.open_program(program)
        assert fd is not None
        ebpf.detach(cgroup, fd)
        os.close(fd)
    os.close(cgroup)


def test_a_limit_that_changes_leaves_the_devices_alone(host: Any) -> None:
    host.container(memory="64M")
    before = _seen(host)
    host.container(memory="32M")
    assert _seen(host) == before
    host.absent("c")


def _seen(host: Any) -> list[str]:
    """The list of v1, the program ids of v2."""
    container_id = host.record().id
    for found in glob.glob(f"/sys/fs/cgroup/devices/mini/{container_id}/devices.list"):
        return sorted(Path(found).read_text().splitlines())
    cgroup = os.open(f"/sys/fs/cgroup/mini/{container_id}", os.O_RDONLY)
    try:
        return [str(program) for program in ebpf.attached(cgroup)]
    finally:
        os.close(cgroup)


# v2: also on a host whose containers are in v1, as long as the unified hierarchy is mounted for something else


@pytest.fixture
def unified(tmp_path: Path) -> Iterator[Path]:
    """A cgroup of v2 of the test's own."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not found:
        pytest.skip("cgroup v2 is not mounted")
    path = Path(found[0], f"mini-test-{os.getpid()}")
    path.mkdir()
    try:
        yield path
    finally:
        path.rmdir()


def _opens(cgroup: Path, path: Path, flags: int = os.O_RDONLY) -> int:
    """0, or the errno with which a process in the cgroup fails to open the path."""
    pid = os.fork()
    if not pid:
        code = 255
        try:
            (cgroup / "cgroup.procs").write_text("0")
            os.open(path, flags | os.O_NONBLOCK)
            code = 0
        except OSError as exc:
            code = exc.errno or 254
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _default() -> Allowed:
    found = devices.allowed({"devices": rules.rules(ContainerSpec("c"))})
    assert found is not None
    return found


def _programs(cgroup: Path) -> list[int]:
    fd = os.open(cgroup, os.O_RDONLY)
    try:
        return ebpf.attached(fd)
    finally:
        os.close(fd)


def test_v2_confines(unified: Path, tmp_path: Path) -> None:
    for name, node in (("kmsg", KMSG), ("disk", DISK), ("zero", ZERO)):
        _mknod(tmp_path / name, *node)
    assert _opens(unified, tmp_path / "kmsg", os.O_WRONLY) == 0
    device_program.write_v2(str(unified), _default())
    assert _opens(unified, tmp_path / "kmsg", os.O_WRONLY) == errno.EPERM
    assert _opens(unified, tmp_path / "disk") == errno.EPERM
    assert _opens(unified, tmp_path / "zero", os.O_RDWR) == 0
    assert device_program.drift_v2(str(unified), _default()) == []


def test_v2_programs_do_not_pile_up(unified: Path, tmp_path: Path) -> None:
    _mknod(tmp_path / "zero", *ZERO)
    device_program.write_v2(str(unified), _default())
    first = _programs(unified)
    device_program.write_v2(str(unified), _default())
    assert _programs(unified) == first
    device_program.write_v2(str(unified), {})
    assert len(_programs(unified)) == 1
    assert _programs(unified) != first
    assert _opens(unified, tmp_path / "zero") == errno.EPERM
    device_program.write_v2(str(unified), EVERYTHING)
    assert _programs(unified) == []
    assert _opens(unified, tmp_path / "zero") == 0


def test_v2_a_program_that_is_gone_is_seen_and_put_back(unified: Path) -> None:
    wanted = device_program.name(_default())
    assert device_program.drift_v2(str(unified), _default()) == [f"devices: no program → {wanted}"]
    device_program.write_v2(str(unified), _default())
    assert device_program.drift_v2(str(unified), _default()) == []
    assert device_program.drift_v2(str(unified), EVERYTHING) == [f"devices: {wanted} → no program"]
    assert device_program.drift_v2(f"{unified}/none", _default()) == []


def test_v2_another_program_is_left_attached(unified: Path) -> None:
    """It can only deny more; who put it there knows why."""
    fd = os.open(unified, os.O_RDONLY)
    foreign = ebpf.load(device_program.compile_program({}), "guard")
    ebpf.attach(fd, foreign)
    for wanted, count in ((_default(), 2), ({}, 2), (EVERYTHING, 1)):
        device_program.write_v2(str(unified), wanted)
        assert len(ebpf.attached(fd)) == count
        assert device_program.drift_v2(str(unified), wanted) == []
    os.close(foreign)
    os.close(fd)


def test_v2_the_kernel_accepts_what_is_compiled() -> None:
    """Its verifier has an opinion of every shape of entry."""
    for text in ("", "c *:* rwm", "b *:* m", "c 1:* r\nc 1:3 w", "b 4095:1048575 rwm", "a *:* rwm"):
        os.close(ebpf.load(device_program.compile_program(devices.parse(text)), "mini_test"))
