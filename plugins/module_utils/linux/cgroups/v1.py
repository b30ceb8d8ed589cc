# SPDX-License-Identifier: GPL-3.0-or-later
"""cgroup v1: one directory in each hierarchy (kernel: Documentation/admin-guide/cgroup-v1)."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ...core.errors import HostLacks
from ..files import write_kernel
from . import devices, settings, throttle
from .settings import PERIOD, Setting, limit

BFQ_DEFAULT = "100"
_FREEZER = {True: "FROZEN", False: "THAWED"}


class CgroupV1:
    """The cgroup `path` in every v1 hierarchy. `mounts` maps mount points to their controllers."""

    version = 1

    def __init__(self, mounts: dict[str, str], path: str) -> None:
        self.path = path
        self._mounts = mounts
        self.directories = [mount + path for mount in mounts]

    def _directory(self, controller: str) -> str | None:
        for mount, options in self._mounts.items():
            if controller in options.split(","):
                return mount + self.path
        return None

    def read(self, controller: str, file: str) -> str | None:
        """The text of a controller's file; None when there is none."""
        return settings.read(self._directory(controller) or "", file)

    def exists(self) -> bool:
        """Whether every hierarchy has the cgroup."""
        return all(os.path.isdir(directory) for directory in self.directories)

    def create(self, resources: dict[str, Any]) -> None:
        """Make the directories and set the limits that are not the kernel's default."""
        for mount, options in self._mounts.items():
            settings.make(mount, self.path, _inherit_cpuset if "cpuset" in options.split(",") else None)
        self._confine(resources, new=True)
        self._write([setting for setting in wanted(resources) if setting.value != setting.default])

    def update(self, resources: dict[str, Any]) -> None:
        """Set every limit, also those that go back to the default."""
        self._confine(resources)
        self._write(wanted(resources))

    def _confine(self, resources: dict[str, Any], *, new: bool = False) -> None:
        allowed = devices.allowed(resources)
        if allowed is not None:
            devices.write_v1(self._directory("devices"), allowed)
        rates = throttle.rates(resources)
        if not new or any(rates.values()):
            throttle.write_v1(self._directory("blkio"), rates)

    def _write(self, changes: list[Setting]) -> None:
        for setting in changes:
            directory = self._directory(setting.controller)
            if directory is None:
                if setting.value == setting.default:
                    continue
                raise HostLacks(
                    f"cannot set {setting.label}: the host has no {setting.controller} cgroup controller",
                    hint=f"leave {setting.label} out, or mount the controller",
                )
            if setting.label == "memory":
                # memory.memsw must stay above memory.limit at every moment: open it before the limit moves.
                with contextlib.suppress(OSError):
                    write_kernel(os.path.join(directory, "memory.memsw.limit_in_bytes"), "-1")
            if setting.label == "cpu_period":
                # Period and quota are two writes, and together they may not be more than the parent's at any moment.
                with contextlib.suppress(OSError):
                    write_kernel(os.path.join(directory, "cpu.cfs_quota_us"), "-1")
            if setting.label == "memory_swap" and settings.read(directory, setting.file) is None:
                continue  # booted without swap accounting
            if not setting.value:  # what the parent has
                setting = setting._replace(value=settings.read(os.path.dirname(directory), setting.file) or "")
            settings.write(directory, _weighed(directory, setting))

    def drift(self, resources: dict[str, Any]) -> list[str]:
        """The limits that are not as wanted, each as `memory: 67108864 → 33554432`; what is not there has none."""
        allowed, devices_directory = devices.allowed(resources), self._directory("devices")
        found = devices.drift_v1(devices_directory, allowed) if allowed is not None and devices_directory else []
        found += throttle.drift_v1(self._directory("blkio"), throttle.rates(resources))
        for setting in wanted(resources):
            directory = self._directory(setting.controller)
            setting = _weighed(directory, setting) if directory else setting
            actual = settings.read(directory, setting.file) if directory else None
            if actual is not None and setting.label == "oom_killer":
                actual = actual.split()[1]
            if actual is not None and not settings.same(setting, actual):
                found.append(f"{setting.label}: {actual} → {setting.value}")
        return found

    def join_files(self) -> list[str]:
        """Writing `0` to each of these files moves the writer, which has one thread, into the cgroup.

        A thread alone moves at once. For a process the kernel (cgroup_attach_lock in kernel/cgroup/cgroup.c) keeps all
        others of the host from forking meanwhile, and to begin with that it waits 5 to 10 ms for every processor.
        """
        files = {mount: "tasks" if controllers else "cgroup.procs" for mount, controllers in self._mounts.items()}
        return [os.path.join(mount + self.path, file) for mount, file in files.items()]

    def processes(self) -> list[int]:
        """All processes inside."""
        return sorted({pid for directory in self.directories for pid in settings.processes(directory)})

    def inner(self, name: str) -> CgroupV1:
        """A group below, by which some of the processes can be told from the others; limits stay those of the whole.

        In one hierarchy only: in the others they are where all the container's processes are.
        """
        mounts = {mount: options for mount, options in self._mounts.items() if "freezer" in options.split(",")}
        found = CgroupV1(mounts, f"{self.path}/{name}")
        settings.make_inner(found.directories)
        return found

    def freeze(self, *, frozen: bool) -> None:
        """Stop all processes inside where they are, or let them go on (cgroup-v1/freezer-subsystem.rst)."""
        directory = self._directory("freezer")
        if directory is None:
            raise HostLacks("cannot pause: the host has no freezer cgroup controller", hint="leave paused out")
        path = os.path.join(directory, "freezer.state")
        settings.freeze(lambda: write_kernel(path, _FREEZER[frozen]), self.frozen, frozen)

    def frozen(self) -> bool:
        """Whether they are stopped."""
        directory = self._directory("freezer")
        return directory is not None and settings.read(directory, "freezer.state") == _FREEZER[True]

    def oom_kills(self) -> int:
        """How many processes inside the kernel has killed for want of memory."""
        text = settings.read(self._directory("memory") or "", "memory.oom_control") or ""
        fields = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        return int(fields.get("oom_kill", 0))

    def remove(self) -> None:
        """Remove the cgroup from every hierarchy. Nothing may run in it."""
        for directory in self.directories:
            settings.remove(directory)

    def remove_if_empty(self) -> None:
        """Remove the cgroup where nothing is below it any more."""
        for directory in self.directories:
            settings.remove_empty(directory)


def wanted(resources: dict[str, Any]) -> list[Setting]:
    """The files of v1 and their values for these resources."""
    memory = limit(resources, "memory", "limit")
    swap = (resources.get("memory") or {}).get("swap") or 0
    reservation = limit(resources, "memory", "reservation")
    quota = limit(resources, "cpu", "quota")
    pids = limit(resources, "pids", "limit")
    swappiness = (resources.get("memory") or {}).get("swappiness", -1)
    period, weight = limit(resources, "cpu", "period"), limit(resources, "blockIO", "weight")
    no_killer = bool((resources.get("memory") or {}).get("disableOOMKiller"))
    return [
        Setting("memory", "memory", "memory.limit_in_bytes", str(memory or -1), "-1"),
        Setting("memory_swap", "memory", "memory.memsw.limit_in_bytes", str(swap or -1), "-1"),
        Setting("memory_reservation", "memory", "memory.soft_limit_in_bytes", str(reservation or -1), "-1"),
        Setting("memory_swappiness", "memory", "memory.swappiness", str(swappiness) if swappiness >= 0 else "", ""),
        Setting("oom_killer", "memory", "memory.oom_control", str(int(no_killer)), "0"),
        Setting("blkio_weight", "blkio", "blkio.weight", str(weight or 500), "500"),
        Setting("cpu_period", "cpu", "cpu.cfs_period_us", str(period or PERIOD), str(PERIOD)),
        Setting("cpu_shares", "cpu", "cpu.shares", str(limit(resources, "cpu", "shares") or 1024), "1024"),
        Setting("cpus", "cpu", "cpu.cfs_quota_us", str(quota or -1), "-1"),
        Setting("cpuset_cpus", "cpuset", "cpuset.cpus", (resources.get("cpu") or {}).get("cpus") or "", ""),
        Setting("cpuset_mems", "cpuset", "cpuset.mems", (resources.get("cpu") or {}).get("mems") or "", ""),
        Setting("pids_limit", "pids", "pids.max", str(pids or "max"), "max"),
    ]


def _weighed(directory: str, setting: Setting) -> Setting:
    """The weight for block devices is the I/O scheduler's: BFQ has its own file and default (bfq-iosched.rst)."""
    if setting.label != "blkio_weight" or os.path.exists(os.path.join(directory, setting.file)):
        return setting
    value = BFQ_DEFAULT if setting.value == setting.default else setting.value
    return setting._replace(file="blkio.bfq.weight", value=value, default=BFQ_DEFAULT)


def _inherit_cpuset(parent: str, directory: str) -> None:
    """A new v1 cpuset is empty, and no process may join an empty one (cgroup-v1/cpusets.rst)."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if settings.read(directory, file) == "":
            write_kernel(os.path.join(directory, file), settings.read(parent, file) or "0")
