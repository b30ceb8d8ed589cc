# SPDX-License-Identifier: GPL-3.0-or-later
"""cgroup v2: one directory (kernel: Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from ...core.errors import HostLacks
from ..files import write_kernel
from . import device_program, devices, settings, throttle
from .settings import PERIOD, UNLIMITED, Setting, limit

CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


class CgroupV2:
    """The cgroup `path` below the unified hierarchy's mount point."""

    version = 2

    def __init__(self, mount: str, path: str) -> None:
        self.path = path
        self._mount = mount
        self.directory = mount + path
        self.directories = [self.directory]

    def read(self, controller: str, file: str) -> str | None:
        """The text of a controller's file; None when there is none."""
        return settings.read(self.directory, file)

    def exists(self) -> bool:
        """Whether the cgroup is there."""
        return os.path.isdir(self.directory)

    def create(self, resources: dict[str, Any]) -> None:
        """Make the directory, with the controllers passed down to it, and set the limits that are not default."""
        settings.make(self._mount, self.path, _pass_down)
        self._confine(resources)
        self._write([setting for setting in wanted(resources) if setting.value != setting.default])

    def update(self, resources: dict[str, Any]) -> None:
        """Set every limit, also those that go back to the default."""
        self._confine(resources)
        self._write(wanted(resources))

    def _confine(self, resources: dict[str, Any]) -> None:
        allowed = devices.allowed(resources)
        if allowed is not None:
            device_program.write_v2(self.directory, allowed)
        _refuse_v1_only(resources)
        throttle.write_v2(self.directory, throttle.rates(resources))

    def _write(self, changes: list[Setting]) -> None:
        available = (settings.read(self.directory, "cgroup.controllers") or "").split()
        for setting in changes:
            if setting.controller in available:
                # An empty list is written as a line: a write of no bytes changes nothing.
                settings.write(self.directory, setting._replace(value=setting.value or "\n"))
            elif setting.value != setting.default:
                raise HostLacks(
                    f"cannot set {setting.label}: {self.path} has no {setting.controller} controller",
                    hint="see cgroup.subtree_control of the parents",
                )

    def drift(self, resources: dict[str, Any]) -> list[str]:
        """The limits that are not as wanted, each as `memory: 67108864 → 33554432`."""
        allowed = devices.allowed(resources)
        found = [] if allowed is None else device_program.drift_v2(self.directory, allowed)
        found += throttle.drift_v2(self.directory, throttle.rates(resources))
        for setting in wanted(resources):
            actual = settings.read(self.directory, setting.file)
            if actual is not None and not settings.same(setting, actual):
                found.append(f"{setting.label}: {actual} → {setting.value}")
        return found

    def join_files(self) -> list[str]:
        """Writing `0` to this file moves the writer into the cgroup."""
        return [os.path.join(self.directory, "cgroup.procs")]

    def processes(self) -> list[int]:
        """All processes inside."""
        return settings.processes(self.directory)

    def inner(self, name: str) -> CgroupV2:
        """A group below, by which some of the processes can be told from the others; limits stay those of the whole.

        No controller is passed down to it, so the group above may have processes as well.
        """
        found = CgroupV2(self._mount, f"{self.path}/{name}")
        settings.make_inner(found.directories)
        return found

    def freeze(self, *, frozen: bool) -> None:
        """Stop all processes inside where they are, or let them go on (cgroup.freeze)."""
        path = os.path.join(self.directory, "cgroup.freeze")
        settings.freeze(lambda: write_kernel(path, str(int(frozen))), self.frozen, frozen)

    def frozen(self) -> bool:
        """Whether they are stopped."""
        return "frozen 1" in (settings.read(self.directory, "cgroup.events") or "").splitlines()

    def oom_kills(self) -> int:
        """How many processes inside the kernel has killed for want of memory."""
        text = settings.read(self.directory, "memory.events") or ""
        fields = dict(line.split(" ", 1) for line in text.splitlines())
        return int(fields.get("oom_kill", 0))

    def remove(self) -> None:
        """Remove the cgroup. Nothing may run in it."""
        settings.remove(self.directory)

    def remove_if_empty(self) -> None:
        """Remove the cgroup where nothing is below it any more."""
        for directory in self.directories:
            settings.remove_empty(directory)


def wanted(resources: dict[str, Any]) -> list[Setting]:
    """The files of v2 and their values for these resources."""
    memory = limit(resources, "memory", "limit")
    total = (resources.get("memory") or {}).get("swap") or 0
    swap = str(total - memory) if memory and total >= memory else UNLIMITED
    quota = limit(resources, "cpu", "quota")
    pids = limit(resources, "pids", "limit")
    period = limit(resources, "cpu", "period") or PERIOD
    io = io_weight(limit(resources, "blockIO", "weight"))
    return [
        Setting("memory", "memory", "memory.max", str(memory or UNLIMITED), UNLIMITED),
        Setting("memory_swap", "memory", "memory.swap.max", swap, UNLIMITED),
        Setting("memory_reservation", "memory", "memory.low", str(limit(resources, "memory", "reservation")), "0"),
        Setting("cpu_shares", "cpu", "cpu.weight", str(weight(limit(resources, "cpu", "shares"))), "100"),
        Setting("cpus", "cpu", "cpu.max", f"{quota or UNLIMITED} {period}", f"{UNLIMITED} {PERIOD}"),
        Setting("blkio_weight", "io", "io.weight", f"default {io}", "default 100"),
        Setting("cpuset_cpus", "cpuset", "cpuset.cpus", (resources.get("cpu") or {}).get("cpus") or "", ""),
        Setting("cpuset_mems", "cpuset", "cpuset.mems", (resources.get("cpu") or {}).get("mems") or "", ""),
        Setting("pids_limit", "pids", "pids.max", str(pids or UNLIMITED), UNLIMITED),
    ]


def weight(shares: int) -> int:
    """v1's shares (2 to 262144, 1024 by default) on v2's scale (1 to 10000, 100 by default), as runc converts them."""
    return 100 if shares in (0, 1024) else 1 + (max(shares, 2) - 2) * 9999 // 262142


def io_weight(weight: int) -> int:
    """v1's weight (10 to 1000, 500 by default) on v2's scale (1 to 10000, 100 by default), as runc converts it."""
    return 1 + (weight - 10) * 9999 // 990 if weight else 100


def _refuse_v1_only(resources: dict[str, Any]) -> None:
    """What v2 has no file for: without a word it would not be in force."""
    memory = resources.get("memory") or {}
    asked = {"memory_swappiness": memory.get("swappiness", -1) >= 0, "oom_killer": memory.get("disableOOMKiller")}
    lacking = next((name for name, given in asked.items() if given), None)
    if lacking:
        raise HostLacks(f"cannot set {lacking}: cgroup v2 has no such setting", hint=f"leave {lacking} out")


def _pass_down(parent: str, child: str) -> None:
    """Enable for the children what the parent offers; what is refused shows when a limit needs it."""
    offered = (settings.read(parent, "cgroup.controllers") or "").split()
    enabled = (settings.read(parent, "cgroup.subtree_control") or "").split()
    for controller in CONTROLLERS:
        if controller in offered and controller not in enabled:
            with contextlib.suppress(OSError):
                write_kernel(os.path.join(parent, "cgroup.subtree_control"), f"+{controller}")
