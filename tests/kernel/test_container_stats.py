# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of containers that do something, on whichever version of cgroups the host has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.engine.containers.stats import stats

from .waiting import eventually


def _when(host: Any, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first statistics that are so."""

    def look() -> dict[str, Any]:
        found = stats(host.paths, host.record())
        return found if found and condition(found) else {}

    return eventually(look)


def test_a_busy_container(host: Any) -> None:
    script = "head -c 20000000 /dev/zero > /dev/shm/x; sleep 1000 & while :; do :; done"
    host.network()
    limits = {"memory": "64M", "cpus": 0.1, "pids_limit": 50}
    host.container(command=["sh", "-c", script], networks=[{"name": "lan"}], capabilities=["NET_RAW"], **limits)
    gateway = host.record().networks["lan"].ipv4.rpartition(".")[0] + ".1"
    eventually(lambda: host.exec("c", "ping", "-c", "2", "-i", "0.1", gateway).rc == 0)
    found = _when(
        host,
        lambda seen: (
            seen["cpu_stats"]["throttling_data"]["throttled_periods"] > 1
            and seen["memory_stats"]["cache"] >= 20_000_000
            and seen["pids_stats"]["current"] == 2
        ),
    )
    cpu, memory = found["cpu_stats"], found["memory_stats"]
    assert cpu["throttling_data"]["throttled_periods"] > 1
    assert cpu["throttling_data"]["throttled_time"] > 0
    assert cpu["cpu_usage"]["total_usage"] > 10_000_000
    assert cpu["cpu_usage"]["usage_in_usermode"] + cpu["cpu_usage"]["usage_in_kernelmode"] > 0
    assert cpu["system_cpu_usage"] > cpu["cpu_usage"]["total_usage"]
    assert memory["limit"] == 64 << 20
    assert 20_000_000 <= memory["usage"] <= memory["max_usage"] <= 64 << 20
    assert memory["oom_kill"] == 0
    assert found["pids_stats"] == {"current": 2, "limit": 50}
    assert found["networks"]["eth0"]["tx_packets"] >= 2
    assert found["networks"]["eth0"]["rx_bytes"] > 0
    assert (found["id"], found["name"]) == (host.record().id, "/c")
    later = _when(host, lambda seen: seen["cpu_stats"]["cpu_usage"] != cpu["cpu_usage"])
    assert later["cpu_stats"]["cpu_usage"]["total_usage"] > cpu["cpu_usage"]["total_usage"]
    host.absent("c")
    host.no_network("lan")


def test_what_is_read_and_written(host: Any) -> None:
    """Again and again: what the kernel's own threads were faster to write is not counted as the container's."""
    script = "while :; do dd if=/dev/zero of=/x bs=1M count=8 conv=fsync 2>/dev/null; sleep 0.1; done"
    # With cgroup v1 the kernel counts only on disks for which somebody has set a limit since it booted.
    far_away = [{"path": disk, "rate": "100G"} for disk in _disks()]
    host.container(command=["sh", "-c", script], stop_timeout=0, device_write_bps=far_away)

    def written(seen: dict[str, Any]) -> int:
        entries = seen["blkio_stats"]["io_service_bytes_recursive"]
        return sum(entry["value"] for entry in entries if entry["op"] == "write")

    _when(host, lambda seen: written(seen) >= 8 << 20)
    host.absent("c")


def _disks() -> list[str]:
    """All whole disks of this host: which of them our files are on is not easy to tell."""
    names = [device.name for device in Path("/sys/block").iterdir() if (device / "queue").exists()]
    return [f"/dev/{name}" for name in sorted(names) if Path("/dev", name).is_block_device()]


def test_without_a_limit_it_is_the_hosts(host: Any) -> None:
    host.container(network_mode="none")
    found = stats(host.paths, host.record())
    assert found is not None
    assert found["memory_stats"]["limit"] > 64 << 20
    assert found["pids_stats"]["limit"] == 0
    assert found["networks"] == {}
    host.absent("c")


def test_a_kill_for_want_of_memory_is_counted(host: Any) -> None:
    script = "tail -c 100000000 /dev/zero; exec sleep 1000"
    host.container(command=["sh", "-c", script], memory="16M", memory_swap="16M", stop_timeout=0)
    _when(host, lambda seen: seen["memory_stats"]["oom_kill"] > 0)
    host.absent("c")


def test_what_does_not_run_uses_nothing(host: Any) -> None:
    host.container(state="present")
    assert stats(host.paths, host.record()) is None
    host.container(stop_timeout=0)
    host.container(state="stopped")
    assert stats(host.paths, host.record()) is None
    host.absent("c")
