# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of both versions of cgroups, from files as kernels have written them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import stats
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups import v1, v2
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.statistics import of_cgroup

V2 = {
    "cpu.stat": "usage_usec 41000\nuser_usec 30000\nsystem_usec 11000\nnice_usec 0\nnr_periods 12\nnr_throttled 2\n"
    "throttled_usec 4000\nnr_bursts 0\nburst_usec 0\n",
    "memory.current": "1400832\n",
    "memory.peak": "3100672\n",
    "memory.max": "67108864\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\noom_group_kill 0\n",
    "memory.stat": "anon 204800\nfile 300000\nkernel 1000\n",
    "pids.current": "3\n",
    "pids.max": "100\n",
    "io.stat": "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n",
}
V1 = {
    "cpuacct/mini/c/cpuacct.usage": "41000000\n",
    "cpuacct/mini/c/cpuacct.usage_user": "30000000\n",
    "cpuacct/mini/c/cpuacct.usage_sys": "11000000\n",
    "cpuacct/mini/c/cpuacct.usage_percpu": "40000000 1000000 \n",
    "cpu/mini/c/cpu.stat": "nr_periods 12\nnr_throttled 2\nthrottled_time 4000000\n",
    "memory/mini/c/memory.usage_in_bytes": "1400832\n",
    "memory/mini/c/memory.max_usage_in_bytes": "3100672\n",
    "memory/mini/c/memory.limit_in_bytes": "67108864\n",
    "memory/mini/c/memory.failcnt": "7\n",
    "memory/mini/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
    "memory/mini/c/memory.stat": "cache 1\nrss 2\ntotal_cache 300000\ntotal_rss 204800\n",
    "pids/mini/c/pids.current": "3\n",
    "pids/mini/c/pids.max": "100\n",
    "blkio/mini/c/blkio.throttle.io_service_bytes_recursive": "254:0 Read 4096\n254:0 Write 8192\nTotal 12288\n",
    "blkio/mini/c/blkio.throttle.io_serviced_recursive": "254:0 Read 1\n254:0 Write 2\nTotal 3\n",
    "unified/mini/c/cpu.stat": "usage_usec 1\nnr_periods 99\n",
}


def _fill(directory: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def _second(tmp_path: Path, **other: str) -> v2.CgroupV2:
    _fill(tmp_path / "mini" / "c", {**V2, **other})
    return v2.CgroupV2(str(tmp_path), "/mini/c")


def _first(tmp_path: Path) -> v1.CgroupV1:
    _fill(tmp_path, V1)
    names = {name.split("/")[0] for name in V1}
    return v1.CgroupV1({str(tmp_path / name): "" if name == "unified" else name for name in sorted(names)}, "/mini/c")


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_say_the_same(tmp_path: Path, version: int) -> None:
    found = of_cgroup(_first(tmp_path) if version == 1 else _second(tmp_path))
    usage: dict[str, Any] = found["cpu_stats"]["cpu_usage"]
    each = usage.pop("percpu_usage", None)
    assert each == ([40_000_000, 1_000_000] if version == 1 else None)
    assert usage == {"total_usage": 41_000_000, "usage_in_usermode": 30_000_000, "usage_in_kernelmode": 11_000_000}
    throttling = {"periods": 12, "throttled_periods": 2, "throttled_time": 4_000_000}
    assert found["cpu_stats"]["throttling_data"] == throttling
    memory = dict(found["memory_stats"])
    assert memory.pop("stats")
    assert memory == {
        "usage": 1_400_832,
        "max_usage": 3_100_672,
        "limit": 64 << 20,
        "failcnt": 7,
        "cache": 300_000,
        "oom_kill": 3,
    }
    assert found["pids_stats"] == {"current": 3, "limit": 100}
    sizes, counts = (found["blkio_stats"][key] for key in ("io_service_bytes_recursive", "io_serviced_recursive"))
    assert [(entry["major"], entry["minor"], entry["op"], entry["value"]) for entry in sizes if entry["value"]] == [
        (254, 0, "read", 4096),
        (254, 0, "write", 8192),
    ]
    assert [(entry["op"], entry["value"]) for entry in counts if entry["value"]] == [("read", 1), ("write", 2)]


def test_no_limit_is_no_number(tmp_path: Path) -> None:
    found = of_cgroup(_second(tmp_path, **{"memory.max": "max\n", "pids.max": "max\n"}))
    assert "limit" not in found["memory_stats"]
    assert found["pids_stats"]["limit"] == 0
    first = _first(tmp_path)
    (tmp_path / "memory/mini/c/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert "limit" not in of_cgroup(first)["memory_stats"]


def test_what_is_not_kept_is_not_made_up(tmp_path: Path) -> None:
    nothing = of_cgroup(v2.CgroupV2(str(tmp_path), "/nothing"))
    assert nothing["cpu_stats"] == {"cpu_usage": {}, "throttling_data": {}}
    assert nothing["memory_stats"] == {"stats": {}}
    assert nothing["pids_stats"] == {}
    assert not any(nothing["blkio_stats"].values())
    assert of_cgroup(v1.CgroupV1({}, "/nothing"))["memory_stats"] == {"stats": {}}


def test_the_hosts_share() -> None:
    text = "cpu  100 1 50 1000 5 0 2 3 77 88\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
    assert stats.host_cpu(text) == {"system_cpu_usage": 1161 * stats._TICK, "online_cpus": 2}
    assert stats.host_memory("MemTotal:        2048 kB\nMemFree: 1 kB\n") == 2 << 20


def test_interfaces() -> None:
    text = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n"
        "    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n"
        "  eth0:950 9 1 2 0 0 0 0 800 8 3 4 0 0 0 0\n"
    )
    assert stats.interfaces(text) == {
        "eth0": {
            "rx_bytes": 950,
            "rx_packets": 9,
            "rx_errors": 1,
            "rx_dropped": 2,
            "tx_bytes": 800,
            "tx_packets": 8,
            "tx_errors": 3,
            "tx_dropped": 4,
        }
    }
