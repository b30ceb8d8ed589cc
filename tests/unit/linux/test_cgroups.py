# SPDX-License-Identifier: GPL-3.0-or-later
"""Both versions of cgroups, on directories that stand in for the kernel's: this machine has only one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import HostLacks, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import detect, settings, v1, v2

RESOURCES: dict[str, Any] = {
    "memory": {"limit": 64 << 20, "swap": 128 << 20},
    "cpu": {"quota": 50_000, "period": 100_000, "cpus": "0-1"},
    "pids": {"limit": 20},
}
NONE: dict[str, Any] = {"memory": {"limit": 0, "swap": 0}, "cpu": {"quota": 0, "cpus": ""}, "pids": {"limit": 0}}
V2_FILES = {
    "memory.max": "",
    "memory.swap.max": "",
    "cpu.max": "",
    "memory.low": "0",
    "cpu.weight": "100",
    "cpuset.cpus": "",
    "cpuset.mems": "",
    "pids.max": "",
    "cgroup.controllers": "cpuset cpu io memory pids",
    "cgroup.subtree_control": "",
    "cgroup.procs": "",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1",
}


def _fill(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)


@pytest.fixture
def unified(tmp_path: Path) -> v2.CgroupV2:
    for below in ("", "mini", "mini/c"):
        _fill(tmp_path / below, V2_FILES)
    return v2.CgroupV2(str(tmp_path), "/mini/c")


def test_v2_writes_what_is_asked(unified: v2.CgroupV2, tmp_path: Path) -> None:
    unified.create(RESOURCES)
    values = {name: (tmp_path / "mini" / "c" / name).read_text() for name in V2_FILES}
    assert values["memory.max"] == str(64 << 20)
    assert values["memory.swap.max"] == str(64 << 20)  # v2 counts swap alone
    assert values["cpu.max"] == "50000 100000"
    assert values["cpuset.cpus"] == "0-1"
    assert values["pids.max"] == "20"
    assert unified.drift(RESOURCES) == []


def test_v2_passes_controllers_down(unified: v2.CgroupV2, tmp_path: Path) -> None:
    unified.create(RESOURCES)
    # A stand-in keeps only what was written last; the kernel would add each to the list.
    assert (tmp_path / "cgroup.subtree_control").read_text().startswith("+")
    assert (tmp_path / "mini" / "cgroup.subtree_control").read_text().startswith("+")
    assert (tmp_path / "mini" / "c" / "cgroup.subtree_control").read_text() == ""


def test_v2_goes_back_to_no_limit(unified: v2.CgroupV2, tmp_path: Path) -> None:
    unified.create(RESOURCES)
    unified.update(NONE)
    assert (tmp_path / "mini" / "c" / "memory.max").read_text().startswith("max")
    assert unified.oom_kills() == 1


def test_v2_block_devices(unified: v2.CgroupV2, tmp_path: Path) -> None:
    cgroup = tmp_path / "mini" / "c"
    _fill(cgroup, {"io.max": "8:0 rbps=512 wbps=max riops=max wiops=max\n", "io.weight": "default 7\n"})
    rate = {"major": 8, "minor": 0, "rate": 1024}
    asked = {**NONE, "blockIO": {"weight": 10, "throttleReadBpsDevice": [rate]}}
    found = [line for line in unified.drift(asked) if "default" in line or "8:0" in line]
    assert found == ["device_read_bps: 8:0 512 → 8:0 1024", "blkio_weight: default 7 → default 1"]
    unified.update(asked)
    # A stand-in keeps what stood behind.
    assert (cgroup / "io.max").read_text().startswith("8:0 rbps=1024")
    assert (cgroup / "io.weight").read_text() == "default 1\n"
    (cgroup / "io.max").write_text("8:0 rbps=1024 wbps=7 riops=max wiops=max\n")
    unified.update(asked)
    assert (cgroup / "io.max").read_text().startswith("8:0 wbps=max")
    assert [v2.io_weight(weight) for weight in (0, 10, 500, 1000)] == [100, 1, 4950, 10000]


@pytest.mark.parametrize("memory", [{"swappiness": 0}, {"disableOOMKiller": True}])
def test_v2_has_not_all_that_v1_has(unified: v2.CgroupV2, memory: dict[str, Any]) -> None:
    with pytest.raises(HostLacks, match="cgroup v2 has no such setting"):
        unified.update({"memory": memory})
    unified.update({"memory": {"swappiness": -1, "disableOOMKiller": False}})


def test_v2_without_throttling_is_an_error(unified: v2.CgroupV2) -> None:
    with pytest.raises(HostLacks, match="cannot set device_write_iops"):
        unified.update({"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}})


def test_v2_without_the_controller_is_an_error(unified: v2.CgroupV2, tmp_path: Path) -> None:
    (tmp_path / "mini" / "c" / "cgroup.controllers").write_text("cpu")
    with pytest.raises(HostLacks, match="has no memory controller"):
        unified.create(RESOURCES)
    unified.create(NONE)


def test_drift_names_what_changed(unified: v2.CgroupV2, tmp_path: Path) -> None:
    unified.create(RESOURCES)
    (tmp_path / "mini" / "c" / "pids.max").write_text("99\n")
    assert unified.drift(RESOURCES) == ["pids_limit: 99 → 20"]


def test_v1_values() -> None:
    values = {setting.file: setting.value for setting in v1.wanted(RESOURCES)}
    assert values == {
        "memory.limit_in_bytes": str(64 << 20),
        "memory.memsw.limit_in_bytes": str(128 << 20),
        "memory.soft_limit_in_bytes": "-1",
        "memory.swappiness": "",
        "memory.oom_control": "0",
        "blkio.weight": "500",
        "cpu.cfs_period_us": "100000",
        "cpu.shares": "1024",
        "cpu.cfs_quota_us": "50000",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "",
        "pids.max": "20",
    }
    assert all(setting.value == setting.default for setting in v1.wanted(NONE))


def test_v1_without_the_controller_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    group = v1.CgroupV1({str(tmp_path / "pids"): "pids"}, "/mini/c")
    with pytest.raises(HostLacks, match="no memory cgroup controller"):
        group.create({"memory": {"limit": 64 << 20}})


@pytest.mark.parametrize(
    ("label", "wanted", "actual", "same"),
    [
        ("memory", "67108864", "67108864", True),
        ("memory", "67108865", "67108864", True),  # the kernel counts pages
        ("memory", "-1", "9223372036854771712", True),
        ("memory", "67108864", "134217728", False),
        ("pids_limit", "max", "max", True),
        ("pids_limit", "20", "max", False),
        ("cpuset_cpus", "0,1", "0-1", True),
        ("cpuset_cpus", "", "0-1", True),  # none asked: whatever the parent has
        ("cpuset_cpus", "0", "0-1", False),
        ("cpus", "max 100000", "max 100000", True),
    ],
)
def test_values_are_compared_by_their_meaning(label: str, wanted: str, actual: str, same: bool) -> None:
    assert settings.same(settings.Setting(label, label.partition("_")[0], "", wanted, ""), actual) is same


MOUNTINFO = """\
20 1 0:20 / /sys/fs/cgroup rw - tmpfs tmpfs rw
21 20 0:21 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
22 20 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
23 20 0:23 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
24 20 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
30 29 0:22 / /srv/chroot/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 29 0:24 / /srv/chroot/sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_hierarchies_are_looked_up(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    found = detect.hierarchies(str(tmp_path / "mountinfo"))
    assert found.unified == ""
    assert found.v1 == {
        "/sys/fs/cgroup/cpu,cpuacct": "cpu,cpuacct",
        "/sys/fs/cgroup/memory": "memory",
        "/sys/fs/cgroup/systemd": "name=systemd",
        "/sys/fs/cgroup/unified": "",  # no controllers, but processes are tracked in it
    }


def test_v2_is_where_the_memory_controller_is(tmp_path: Path) -> None:
    _fill(tmp_path / "cgroup", {"cgroup.controllers": "cpu memory pids\n"})
    (tmp_path / "mountinfo").write_text(f"24 20 0:24 / {tmp_path}/cgroup rw - cgroup2 cgroup2 rw\n")
    found = detect.hierarchies(str(tmp_path / "mountinfo"))
    assert isinstance(detect.open_cgroup("/mini/c", found), v2.CgroupV2)
    assert detect.open_cgroup("/mini/c", found).join_files() == [f"{tmp_path}/cgroup/mini/c/cgroup.procs"]


def test_who_has_no_pid_is_nobody(tmp_path: Path) -> None:
    """The kernel lists a process as 0 that is reaped while the list is made; SIGKILL to 0 would end ourselves."""
    _fill(tmp_path / "inner", {"cgroup.procs": "0\n7\n"})
    _fill(tmp_path, {"cgroup.procs": "5\n0\n"})
    assert settings.processes(str(tmp_path)) == [5, 7]
    assert settings.processes(str(tmp_path / "gone")) == []


def test_a_refusal_names_file_and_reason(tmp_path: Path) -> None:
    os.symlink("/dev/full", tmp_path / "pids.max")
    with pytest.raises(StepFailed, match=r"refuses pids_limit '20' \(.*pids.max\): No space left") as caught:
        settings.write(str(tmp_path), settings.Setting("pids_limit", "pids", "pids.max", "20", "max"))
    assert caught.value.errno == 28
