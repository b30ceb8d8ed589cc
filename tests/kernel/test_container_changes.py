# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option of a container: given, given again, changed, changed back; what each change costs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.plan import LIVE as LIVE_FIELDS
from ansible_collections.mini.containers.plugins.module_utils.glue.container import COMPARED
from ansible_collections.mini.containers.plugins.modules.mini_container import ARGUMENT_SPEC

from .waiting import eventually

LIVE, RECREATE = Impact.LIVE, Impact.RECREATE
# Of this run alone: others may use the same machine.
PARENT = f"/mini-test-{os.getpid()}"
LAN = {"networks": [{"name": "lan"}]}

# Option, first value, another one, what the change costs, what has to be given besides.
CHANGES: tuple[tuple[str, Any, Any, Impact, dict[str, Any]], ...] = (
    ("command", "sleep 1000", ["sleep", "1001"], RECREATE, {}),
    ("entrypoint", ["sleep"], ["busybox", "sleep"], RECREATE, {"command": "1000"}),
    ("env", {"A": "1"}, {"A": "2"}, RECREATE, {}),
    ("working_dir", "/tmp", "/", RECREATE, {}),
    ("user", "alice", "1000:1000", RECREATE, {}),
    ("groups", ["audio"], ["wheel"], RECREATE, {}),
    ("hostname", "a", "b", RECREATE, {}),
    ("domainname", "a.example", "b.example", RECREATE, {}),
    ("volumes", ["/tmp:/a"], ["/tmp:/a:ro"], RECREATE, {}),
    ("mounts", [{"target": "/a", "type": "tmpfs"}], [{"target": "/b", "type": "tmpfs"}], RECREATE, {}),
    ("tmpfs", ["/a"], ["/a:size=1M"], RECREATE, {}),
    ("volumes_from", [], ["other"], RECREATE, {}),
    ("read_only", True, False, RECREATE, {}),
    ("shm_size", "1M", "2M", RECREATE, {}),
    ("capabilities", ["NET_RAW"], [], RECREATE, {}),
    ("cap_drop", ["ALL"], ["KILL"], RECREATE, {}),
    ("privileged", True, False, RECREATE, {}),
    ("no_new_privs", True, False, RECREATE, {}),
    ("tty", True, False, RECREATE, {}),
    ("interactive", True, False, RECREATE, {}),
    ("init", True, False, RECREATE, {}),
    ("security_opts", ["no-new-privileges"], ["seccomp=unconfined"], RECREATE, {}),
    ("security_opts", ["apparmor=unconfined"], ["no-new-privileges"], RECREATE, {}),
    ("sysctls", {"net.ipv4.ip_default_ttl": "42"}, {"net.ipv4.ip_default_ttl": "43"}, RECREATE, {}),
    ("ulimits", ["nofile:64:128"], ["nofile:64:129"], RECREATE, {}),
    ("oom_score_adj", 100, 200, RECREATE, {}),
    ("devices", ["/dev/zero:/dev/a"], ["/dev/zero:/dev/a:r"], RECREATE, {}),
    ("device_cgroup_rules", ["c 10:200 rw"], ["c 10:* r"], RECREATE, {}),
    ("cgroup_parent", "", PARENT, RECREATE, {}),
    ("pid_mode", "private", "host", RECREATE, {}),
    ("ipc_mode", "private", "shareable", RECREATE, {}),
    ("uts", "private", "host", RECREATE, {}),
    ("cgroupns_mode", "private", "host", RECREATE, {}),
    ("userns_mode", "host", "private", RECREATE, {}),
    ("network_mode", "none", "host", RECREATE, {}),
    ("log_driver", "json-file", "none", RECREATE, {}),
    ("log_options", {"max-size": "1M"}, {"max-size": "2M", "max-file": 2}, LIVE, {}),
    ("healthcheck", {"test": "true"}, {"test": "false", "interval": "1m", "retries": 2}, LIVE, {}),
    ("auto_remove", True, False, LIVE, {}),
    ("networks", [{"name": "lan"}], [{"name": "lan"}, {"name": "back"}], LIVE, {}),
    ("published_ports", ["8080:80"], ["8081:80", "82:82/udp"], LIVE, LAN),
    ("publish_all_ports", False, True, LIVE, {**LAN, "exposed_ports": ["80"]}),
    ("exposed_ports", ["80"], ["81", "53/udp"], LIVE, {}),
    ("mac_address", "02:00:00:00:00:01", "02:00:00:00:00:02", LIVE, LAN),
    ("dns_servers", ["192.0.2.1"], ["192.0.2.2"], LIVE, {}),
    ("dns_search_domains", ["a.example"], ["b.example"], LIVE, {}),
    ("dns_opts", ["ndots:1"], ["ndots:2"], LIVE, {}),
    ("etc_hosts", {"a": "192.0.2.1"}, {"b": "192.0.2.1"}, LIVE, {}),
    ("labels", {"a": "1"}, {"b": "1"}, LIVE, {}),
    ("restart_policy", "no", "always", LIVE, {}),
    ("restart_retries", 1, 2, LIVE, {}),
    ("stop_signal", "TERM", "SIGINT", LIVE, {}),
    ("stop_timeout", 1, 0, LIVE, {}),
    ("memory", "32M", "64M", LIVE, {}),
    ("memory_swap", "64M", "-1", LIVE, {"memory": "32M"}),
    ("memory_reservation", "16M", "32M", LIVE, {}),
    ("memory_swappiness", 10, -1, LIVE, {}),
    ("oom_killer", True, False, LIVE, {}),
    ("cpus", 0.5, 0.25, LIVE, {}),
    ("cpu_quota", 20000, 0, LIVE, {}),
    ("cpu_period", 50000, 0, LIVE, {"cpu_quota": 20000}),
    ("cpu_shares", 512, 256, LIVE, {}),
    ("cpuset_cpus", "0", "0-1", LIVE, {}),
    ("cpuset_mems", "0", "0-0", LIVE, {}),
    ("pids_limit", 20, 0, LIVE, {}),
    ("blkio_weight", 200, 0, LIVE, {}),
)
# What a reason calls an option that has no name of its own there.
SAID_AS = {"cpu_quota": ["cpus"], "mounts": ["volumes"], "tmpfs": ["volumes"], "security_opts": ["no_new_privs"]}
# Not everywhere: compared with a host that has them in tests of their own.
ELSEWHERE = {
    "image",
    "env_file",
    "secrets",
    "device_read_bps",
    "device_write_bps",
    "device_read_iops",
    "device_write_iops",
}


def test_every_option_that_is_compared_is_here() -> None:
    assert {option for option, *_rest in CHANGES} | ELSEWHERE >= set(COMPARED)
    assert set(COMPARED) <= set(ARGUMENT_SPEC)
    assert LIVE_FIELDS


@pytest.mark.parametrize(("option", "first", "second", "impact", "besides"), CHANGES, ids=[row[0] for row in CHANGES])
def test_change(host: Any, option: str, first: Any, second: Any, impact: Impact, besides: dict[str, Any]) -> None:
    if option == "blkio_weight" and not list(Path("/sys/fs/cgroup").glob("blkio/blkio.bfq.*")):
        pytest.skip("no I/O scheduler of this kernel weighs")
    host.network("lan")
    host.network("back")
    host.container("other", volumes=["/tmp:/x"], state="present")
    if _same(first, second):
        second = first
    host.container(**besides, **{option: first})
    pid = host.pid()
    assert not host.container(**besides, **{option: first}).plan.describe()
    if second is not first:
        for value in (second, first):
            steps = host.container(**besides, **{option: value}).plan
            assert steps.impact is impact, steps.describe()
            assert (host.pid() == pid) is (impact is LIVE)
            assert any(name in " ".join(steps.describe()) for name in (option, *SAID_AS.get(option, ())))
            assert not host.container(**besides, **{option: value}).plan.describe()
    host.absent("c", "other")
    host.no_network("lan", "back")
    for group in Path("/sys/fs/cgroup").glob(f"*{PARENT}"):
        group.rmdir()


def _same(first: Any, second: Any) -> bool:
    return (first, second) == ("0", "0-0")


@pytest.mark.parametrize(
    ("option", "value", "file", "before", "after"),
    [
        ("memory_swappiness", 10, "memory/memory.swappiness", None, "10"),
        ("oom_killer", True, "memory/memory.oom_control", "oom_kill_disable 0", "oom_kill_disable 1"),
        ("cpu_quota", 20000, "cpu/cpu.cfs_quota_us", "-1", "20000"),
        ("cpu_period", 50000, "cpu/cpu.cfs_period_us", "100000", "50000"),
        ("device_read_bps", "1M", "blkio/blkio.throttle.read_bps_device", "", "{} 1048576"),
        ("device_write_bps", 1024, "blkio/blkio.throttle.write_bps_device", "", "{} 1024"),
        ("device_read_iops", 10, "blkio/blkio.throttle.read_iops_device", "", "{} 10"),
        ("device_write_iops", 20, "blkio/blkio.throttle.write_iops_device", "", "{} 20"),
    ],
)
def test_limits_in_the_kernel(host: Any, option: str, value: Any, file: str, before: Any, after: str) -> None:
    """Set on what runs, mended when somebody changes it, taken back."""
    controller, name = file.split("/")
    if not Path(f"/sys/fs/cgroup/{controller}").is_dir():
        pytest.skip("cgroup v2 has other files")
    given, none = value, {"oom_killer": False, "memory_swappiness": -1}.get(option, 0)
    if option.startswith("device"):
        disk, numbers = _disk()
        given, none, after = [{"path": disk, "rate": value}], [], after.format(numbers)
    host.container()
    pid = host.pid()
    first = host.cgroup_file("c", controller, name)
    assert before is None or first.startswith(before)
    host.container(**{option: given})
    assert host.cgroup_file("c", controller, name).startswith(after)
    assert not host.container(**{option: given}).plan
    where = next(Path("/sys/fs/cgroup", controller).glob(f"**/{host.record().id}/{name}"))
    where.write_text(_undone(option, after))
    mended = host.container().plan.describe()
    assert len(mended) == 1
    assert option.replace("cpu_quota", "cpus") in mended[0]
    assert host.cgroup_file("c", controller, name).startswith(after)
    host.container(**{option: none})
    assert host.cgroup_file("c", controller, name) == first
    assert host.pid() == pid
    host.absent("c")


def _undone(option: str, text: str) -> str:
    if option.startswith("device"):
        return f"{text.split(maxsplit=1)[0]} 0"
    return {"oom_killer": "0", "memory_swappiness": "20", "cpu_quota": "-1", "cpu_period": "100000"}[option]


def _disk() -> tuple[str, str]:
    """A whole disk of this host."""
    for device in sorted(Path("/sys/block").iterdir()):
        if (Path("/dev") / device.name).is_block_device() and (device / "queue").exists():
            return f"/dev/{device.name}", (device / "dev").read_text().strip()
    pytest.skip("this host has no disk")


def test_a_file_of_variables(host: Any, tmp_path: Path) -> None:
    """Its content counts, not its name; the task's own variables go before it."""
    file = tmp_path / "env"
    file.write_text("# comment\n\n  A=file\nB=x=y # no comment\nC=\n")
    options = {"env_file": str(file), "env": {"A": "task"}}
    host.container(**options)
    assert {"A=task", "B=x=y # no comment", "C="} <= set(host.exec("c", "env").stdout.decode().splitlines())
    assert not host.container(**options).plan
    shutil.copy(file, tmp_path / "again")
    assert not host.container(**{**options, "env_file": str(tmp_path / "again")}).plan
    file.write_text("A=file\nB=z\n")
    steps = host.container(**options).plan
    assert steps.impact is RECREATE
    assert "env: B, C" in " ".join(steps.describe())
    host.absent("c")


def test_a_profile_of_system_calls(host: Any, tmp_path: Path) -> None:
    """In Docker's form, with rules that depend on capabilities; its content counts."""
    file = tmp_path / "profile.json"
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {"names": ["link", "linkat"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["rmdir", "unlinkat"], "action": "SCMP_ACT_ERRNO", "includes": {"arches": ["s390x"]}},
    ]
    file.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}))
    options = {"security_opts": [f"seccomp={file}"]}
    host.container(**options)
    script = "mkdir /tmp/a 2>&1; echo > /tmp/b; ln /tmp/b /tmp/c && rm /tmp/b /tmp/c && echo rest"
    found = host.exec("c", "sh", "-c", script.replace("ln ", "busybox ln ")).stdout.decode()
    assert "Permission denied" in found
    assert "rest" in found
    assert not host.container(**options).plan
    file.write_text(json.dumps({"syscalls": rules[1:], "defaultAction": "SCMP_ACT_ALLOW"}, indent=4))
    assert host.container(**options).plan.impact is RECREATE
    assert host.exec("c", "mkdir", "/tmp/a").rc == 0
    host.absent("c")


def test_a_kill_signal_is_tried_first(host: Any) -> None:
    script = "trap 'exit 9' USR1; touch /ready; while :; do sleep 0.1; done"
    host.container(command=["sh", "-c", script], stop_timeout=60)
    eventually(lambda: host.exec("c", "test", "-e", "/ready").rc == 0)
    host.container(state="stopped", force_kill=True, kill_signal="USR1")
    assert host.state()["exit_code"] == 9
    host.absent("c")


def test_a_cgroup_elsewhere(host: Any) -> None:
    """It is below the parent asked for, and the parent stays: it may be somebody else's."""
    host.container(cgroup_parent=f"{PARENT}/deep", memory="32M")
    assert f"{PARENT}/deep/{host.record().id}" in Path(f"/proc/{host.pid()}/cgroup").read_text()
    assert not host.container(cgroup_parent=f"{PARENT[1:]}/deep/").plan
    host.absent("c")
    assert not list(Path("/sys/fs/cgroup").glob(f"*{PARENT}/deep/*/"))
    for group in [*Path("/sys/fs/cgroup").glob(f"*{PARENT}/deep"), *Path("/sys/fs/cgroup").glob(f"*{PARENT}")]:
        group.rmdir()
