# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container sees and may do, and what an image does that means harm. Each test fails without its defence."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.waiting import wait
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.runtime.confine import GLIBC_SIGNALS

DEFAULT_CAPABILITIES = "00000000800405fb"
PROBE = "cat /proc/self/status | grep -E '^(Cap|NoNew|Sig(Ign|Blk)|Groups|Uid)'"


@pytest.fixture(params=["start", "exec"])
def inside(host: Any, request: pytest.FixtureRequest) -> Any:
    """Run a shell line in a container, as its first process or beside it: both are confined alike."""
    if request.param == "start":
        return lambda line, **options: host.run(["sh", "-c", line], **options).stdout

    def run(line: str, **options: Any) -> str:
        host.container("beside", **options)
        try:
            return str(host.exec("beside", "sh", "-c", line).stdout.decode())
        finally:
            host.absent("beside")

    return run


def test_capabilities_signals_and_groups(inside: Any) -> None:
    found = dict(line.split(":\t") for line in inside(PROBE).splitlines())
    assert found["CapBnd"] == found["CapEff"] == found["CapPrm"] == DEFAULT_CAPABILITIES
    assert found["CapInh"] == found["CapAmb"] == "0" * 16
    assert found["SigIgn"] == found["SigBlk"] == "0" * 16
    assert found["NoNewPrivs"] == "0"


def test_signals_that_glibc_keeps_are_reset_too(inside: Any) -> None:
    """Everything below make(1) has them ignored, and libc's own functions refuse to name them."""
    ignored = (1).to_bytes(8, sys.byteorder) + bytes(24)
    for number in GLIBC_SIGNALS:
        assert libc._libc.syscall(libc.NR_RT_SIGACTION, number, ignored, None, 8) == 0
    try:
        assert "SigIgn:\t0000000000000000" in inside(PROBE)
    finally:
        for number in GLIBC_SIGNALS:
            libc.default_action(number)


def test_a_user_other_than_root_has_no_capabilities(inside: Any) -> None:
    found = dict(line.split(":\t") for line in inside(PROBE, user="alice").splitlines())
    assert found["CapEff"] == found["CapPrm"] == "0" * 16
    assert found["Uid"].split() == ["1000"] * 4


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0 0 0 29"),
        ("alice", "1000 1000 10 29 1000"),
        ("alice:wheel", "1000 10 10"),
        ("1000", "1000 1000 10 29 1000"),
        ("1234", "1234 0 0"),
        ("1234:5678", "1234 5678 5678"),
    ],
)
def test_users_and_groups_come_from_the_image(inside: Any, user: str, expected: str) -> None:
    line = "set -- $(id -G); echo $(id -u) $(id -g) $(echo $* | tr ' ' '\\n' | sort -n)"
    assert inside(line, user=user).strip() == expected


def test_no_new_privs(inside: Any) -> None:
    assert "NoNewPrivs:\t1" in inside(PROBE, no_new_privs=True)


def test_the_environment_is_made_from_nothing(inside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    names = {line.partition("=")[0] for line in inside("env", env={"MINE": "y"}, hostname="box").splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"PATH", "HOSTNAME", "HOME", "MINE"}


def test_descriptors_of_the_host_stay_outside(inside: Any) -> None:
    leaked = [os.open("/", os.O_RDONLY) for _number in range(20)]
    for fd in leaked:
        os.set_inheritable(fd, True)
    try:
        assert inside("sleep 5 & sleep 0.1; ls /proc/$!/fd; kill $!").split() == ["0", "1", "2"]
    finally:
        for fd in leaked:
            os.close(fd)


@pytest.mark.parametrize("number", range(3, 12))
def test_the_working_directory_cannot_be_a_descriptor_of_the_host(host: Any, number: int) -> None:
    """CVE-2024-21626."""
    with pytest.raises(MiniError):
        host.container(working_dir=f"/proc/self/fd/{number}")


def test_namespaces_are_its_own(inside: Any) -> None:
    kinds = ("mnt", "uts", "ipc", "pid", "net", "cgroup")
    seen = inside("for n in " + " ".join(kinds) + "; do readlink /proc/self/ns/$n; done").split()
    assert len(seen) == len(kinds)
    for kind, found in zip(kinds, seen):
        assert found != os.readlink(f"/proc/self/ns/{kind}")


def test_devices(inside: Any) -> None:
    expected = set("fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero".split())
    expected |= {"core"} if os.path.exists("/proc/kcore") else set()
    assert set(inside("ls /dev").split()) == expected
    assert inside("head -c 4 /dev/zero | wc -c; echo x > /dev/null; test -c /dev/random && echo ok") == "4\nok\n"


def test_device_nodes_of_an_image_are_inert(host: Any) -> None:
    """The root is mounted nodev, and CAP_MKNOD is not granted."""
    assert host.run(["sh", "-c", "mknod /disk b 7 0 || echo refused"]).stdout == "refused\n"
    host.container(state="present")
    os.mknod(host.paths.container(host.record().id, "upper", "memory"), 0o20666, os.makedev(1, 5))
    host.container()
    assert host.exec("c", "head", "-c", "1", "/memory").rc != 0
    host.absent("c")


def test_masked_and_read_only_paths(inside: Any) -> None:
    script = """
    for f in /proc/kcore /proc/keys /proc/timer_list; do test -s $f && cat $f | head -c 1; done
    ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :
    for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/x /sys/x /sys/fs/cgroup/x /sys/fs/cgroup/*/x
    do (echo 1 > $f) 2>/dev/null && echo wrote $f; done
    mount -o remount,rw /sys 2>/dev/null && echo remounted; umount /proc/kcore 2>/dev/null && echo unmounted
    echo end"""
    assert inside(script).split() == ["end"]


def test_nothing_of_the_host_is_mounted(inside: Any) -> None:
    mounted = {line.split()[4] for line in inside("cat /proc/self/mountinfo").splitlines()}
    allowed = ("/proc", "/dev", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
    assert all(target == "/" or target.startswith(allowed) for target in mounted)
    assert not any("shared:" in line or "master:" in line for line in inside("cat /proc/self/mountinfo").splitlines())


def test_limits_are_its_own(host: Any) -> None:
    """One cgroup a container: the last one's limits must not rule the others."""
    host.container("small", memory="32M", cpus=0.5, pids_limit=10, cpuset_cpus="0")
    host.container("large", memory="64M", pids_limit=100)
    if Path("/sys/fs/cgroup/memory").is_dir():
        assert host.cgroup_file("small", "memory", "memory.limit_in_bytes") == str(32 << 20)
        assert host.cgroup_file("large", "memory", "memory.limit_in_bytes") == str(64 << 20)
        assert host.cgroup_file("small", "cpu", "cpu.cfs_quota_us") == "50000"
    else:
        assert host.cgroup_file("small", "", "memory.max") == str(32 << 20)
        assert host.cgroup_file("large", "", "memory.max") == str(64 << 20)
        assert host.cgroup_file("small", "", "cpu.max") == "50000 100000"
    assert host.cgroup_file("small", "pids", "pids.max") == "10"
    assert host.cgroup_file("small", "cpuset", "cpuset.cpus") == "0"
    assert host.exec("small", "sh", "-c", "for i in $(seq 20); do sleep 100 & done").rc != 0
    host.absent("small", "large")


def test_memory_is_enforced_and_told(host: Any) -> None:
    host.container(command="dd if=/dev/zero of=/dev/null bs=200M count=1", memory="16M", memory_swap="16M")
    assert wait(host.paths, host.record()).rc == 137
    assert facts(host.paths, host.record())["State"]["OOMKilled"]
    host.absent("c")


def test_limits_change_while_it_runs(host: Any) -> None:
    host.container(memory="64M")
    pid = host.pid()
    (limits, record) = host.container(memory="128M").plan
    assert (record.name, limits.name) == ("write-record", "set-limits")
    host.container(memory="32M")
    files = ("memory.limit_in_bytes", "memory.max")
    name = files[0] if Path("/sys/fs/cgroup/memory").is_dir() else files[1]
    assert host.cgroup_file("c", "memory", name) == str(32 << 20)
    assert host.pid() == pid
    host.absent("c")


def test_volumes(host: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("hello")
    volumes = [f"{tmp_path}/in:/in", f"{tmp_path}/file:/etc/deep/file:ro", "data:/data"]
    script = "cat /etc/deep/file; echo x > /in/x; echo y > /data/y; echo z > /etc/deep/file || echo read-only"
    assert host.run(["sh", "-c", script], volumes=volumes).stdout == "helloread-only\n"
    assert (tmp_path / "in" / "x").read_text() == "x\n"
    assert host.run("cat /data/y", volumes=["data:/data:ro"]).stdout == "y\n"
    shutil.rmtree(host.paths.volumes)


def test_a_read_only_bind_is_so_all_the_way_down(host: Any, tmp_path: Path) -> None:
    below = tmp_path / "outer" / "inner"
    below.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(below)], check=True)
    try:
        done = host.run(["sh", "-c", "echo x > /o/inner/x || echo refused"], volumes=[f"{tmp_path}/outer:/o:ro"])
        assert done.stdout == "refused\n"
    finally:
        subprocess.run(["umount", str(below)], check=True)


def test_removal_never_enters_a_volume(host: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep me")
    host.container(volumes=[f"{tmp_path}/precious:/data"])
    host.exec("c", "ln", "-s", "/data", "/link")
    host.absent("c")
    assert (tmp_path / "precious" / "file").read_text() == "keep me"


@pytest.mark.parametrize("target", ["proc", "sys"])
def test_an_image_whose_proc_is_a_link(host: Any, target: str) -> None:
    """CVE-2019-16884 and its kin: masks would go to files of the image's choice."""
    host.container(state="present")
    upper = Path(host.paths.container(host.record().id, "upper"))
    (upper / "bad").mkdir()
    (upper / target).symlink_to("/bad")
    with pytest.raises(MiniError, match="ordinary directory"):
        host.container()
    assert host.pid() == 0
    host.absent("c")


@pytest.mark.parametrize("link", ["/etc", "../../../../etc"])
def test_links_of_an_image_lead_nowhere(host: Any, tmp_path: Path, link: str) -> None:
    """A mount's target is looked up inside the root, so is the working directory."""
    name = f"mini-canary-{os.getpid()}"
    host.container(state="present", volumes=[f"{tmp_path}:/way/{name}"], working_dir=f"/way/{name}-wd")
    upper = Path(host.paths.container(host.record().id, "upper"))
    (upper / "way").symlink_to(link)
    host.container()
    assert not Path(f"/etc/{name}").exists()
    assert not Path(f"/etc/{name}-wd").exists()
    assert host.exec("c", "ls", "/etc").stdout.decode().count(name) == 2
    host.absent("c")


def test_dev_null_of_an_image_masks_nothing(host: Any) -> None:
    """CVE-2025-31133: the file that hides others is the host's, checked, not what the image has at /dev/null."""
    host.container(state="present")
    upper = Path(host.paths.container(host.record().id, "upper"))
    (upper / "dev").mkdir(exist_ok=True)
    (upper / "dev" / "null").symlink_to("/proc/sys/kernel/core_pattern")
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    host.container()
    assert host.exec("c", "sh", "-c", "echo x > /proc/timer_list; cat /proc/timer_list").stdout == b""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before
    host.absent("c")


@pytest.mark.parametrize("way", ["start", "beside", "shared", "exec"])
def test_the_hosts_interpreter_cannot_be_written(host: Any, way: str, tmp_path: Path) -> None:
    """CVE-2019-5736: the image runs /proc/self/exe, which is the host's Python, and opens it for writing.

    With a shared mount the container's process has left the mount namespace in which the interpreter is read-only; and
    beside another container it is a child of that one's monitor, which has taken the host's mounts.
    """
    volumes = _system()
    if way == "beside":
        host.container("other")
    if way == "shared":
        subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        volumes.append(f"{tmp_path}:/shared:rshared")
    python = os.path.realpath(sys.executable)
    before = hashlib.sha256(Path(python).read_bytes()).hexdigest()
    attack = "\n".join(
        [
            "#!/proc/self/exe -S",
            "import os",
            "exe = os.readlink('/proc/self/exe')",
            "try:",
            "    os.open('/proc/self/exe', os.O_WRONLY | os.O_TRUNC); print('OPENED', exe)",
            "except OSError as exc:",
            "    print('refused', exc.errno, exe)",
        ]
    )
    host.container(state="present", volumes=volumes, command="sleep 1000" if way == "exec" else "/attack")
    script = Path(host.paths.container(host.record().id, "upper"), "attack")
    script.write_text(attack)
    script.chmod(0o755)
    host.container()
    if way != "exec":
        output = _output_after_end(host)
    else:
        done = host.exec("c", "/attack")
        output = (done.stdout + done.stderr).decode()
    # EROFS: the mount is read-only. ETXTBSY would only say that somebody is running it just now.
    assert "refused 30" in output
    assert hashlib.sha256(Path(python).read_bytes()).hexdigest() == before
    host.absent("c", "other")
    if way == "shared":
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


def _system() -> list[str]:
    """The host's libraries, so that its interpreter can run in the container."""
    prefix = Path(os.path.realpath(sys.executable)).parent.parent
    found = [path for path in ("/usr/lib", "/lib", "/lib64", str(prefix / "lib")) if Path(path).is_dir()]
    return [f"{path}:{path}:ro" for path in dict.fromkeys(found)]


def _output_after_end(host: Any) -> str:
    done = wait(host.paths, host.record())
    return str(done.stdout + done.stderr)


def test_the_engine_cannot_be_watched_from_inside(host: Any) -> None:
    """CVE-2016-9962: a joining process still holds the host's privileges; nothing in the container may open it."""
    spy = (
        "while :; do for p in /proc/[0-9]*; do for f in exe cwd root; do readlink $p/$f; done; ls -l $p/fd; done; done"
    )
    host.container(command=["sh", "-c", f"({spy}) > /seen 2>/dev/null"])
    for _round in range(60):
        assert host.exec("c", "true").rc == 0
    seen = host.exec("c", "sh", "-c", "grep -v -E '^(total|l[r-])' /seen | sort -u").stdout.decode()
    assert "python" not in seen
    assert str(host.directory) not in host.exec("c", "cat", "/seen").stdout.decode()
    host.absent("c")


def test_traps_for_python_in_the_image_are_not_sprung(host: Any) -> None:
    """CVE-2019-14271: after the change of root nothing is imported or decoded by files of the image."""
    host.container(state="present", user="alice")
    upper = Path(host.paths.container(host.record().id, "upper"))
    trap = "open('/sprung', 'w').close()\n"
    for version in (f"python{sys.version_info[0]}.{sys.version_info[1]}",):
        for root in ("usr/lib", "usr/local/lib", os.path.realpath(sys.prefix).strip("/") + "/lib"):
            for module in (
                "os",
                "json/__init__",
                "encodings/__init__",
                "encodings/cp500",
                "encodings/ascii",
                "linecache",
            ):
                path = upper / root / version / f"{module}.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(trap)
    host.container()
    host.exec("c", "true", user="alice")
    with pytest.raises(MiniError):
        host.exec("c", "no-such-command")
    assert not (upper / "sprung").exists()
    host.absent("c")


def test_other_users_of_the_host_cannot_reach_the_files(host: Any) -> None:
    """A setuid program of an image would be theirs to run."""
    host.container()
    for path in (host.paths.state_root, host.paths.run_root):
        assert os.stat(path).st_mode & 0o077 == 0
    host.absent("c")
