# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may not do and not see: Docker's default, with Podman's shorter list of capabilities.

Sources: moby, daemon/pkg/oci/defaults.go and daemon/pkg/oci/caps; containers/common, pkg/config/default.go.
`privileged` takes all of it away but the namespaces.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from typing import Any

from ...core.errors import HostLacks
from ...core.specs.container import ContainerSpec, Ulimit
from ...linux.apparmor import SYS, profiles
from ...linux.capabilities import DEFAULT, NAMES, available
from ...linux.seccomp import FILTER_VERSION

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
NO_LIMIT = 2**64 - 1
_MEMLOCK = 8 << 20
# What the host's systemd gives a service, the kernel's own default for the others (include/asm-generic/resource.h): a
# session's limits are not handed on.
ULIMITS = (
    Ulimit("nofile", 1024, 524288),
    Ulimit("core", 0, -1),
    Ulimit("nproc", -1, -1),
    Ulimit("stack", 8 << 20, -1),
    Ulimit("memlock", _MEMLOCK, _MEMLOCK),
    Ulimit("msgqueue", 819200, 819200),
    *(Ulimit(name, -1, -1) for name in ("as", "cpu", "data", "fsize", "rss", "rttime")),
    *(Ulimit(name, 0, 0) for name in ("nice", "rtprio")),
)
SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
ALL = "ALL"
UNCONFINED = "unconfined"


def capabilities(spec: ContainerSpec) -> list[str]:
    """The capabilities granted. `ALL` in one list makes the other one the exceptions to it, as in Docker."""
    everything = available()
    if spec.privileged:
        return everything
    if ALL in spec.cap_add:
        return [name for name in everything if name not in spec.cap_drop]
    lacking = sorted(set(spec.cap_add) - set(everything))
    if lacking:
        raise HostLacks(f"cannot grant {lacking[0]} to {spec.name}: root on this host does not have it itself")
    base = [] if ALL in spec.cap_drop else [name for name in DEFAULT if name not in spec.cap_drop]
    return sorted({*base, *spec.cap_add} & set(everything), key=NAMES.index)


def rlimits(spec: ContainerSpec) -> list[dict[str, Any]]:
    """Resource limits, set and never inherited."""
    wanted = {**{limit.name: limit for limit in ULIMITS}, **{limit.name: limit for limit in spec.ulimits}}
    return [
        {"type": f"RLIMIT_{limit.name.upper()}", "soft": _rlimit(limit.soft), "hard": _rlimit(limit.hard)}
        for limit in wanted.values()
    ]


def _rlimit(value: int) -> int:
    return NO_LIMIT if value < 0 else value


def hidden(spec: ContainerSpec) -> dict[str, list[str]]:
    """The paths that are masked, and those that can only be read."""
    if spec.privileged:
        return {"maskedPaths": [], "readonlyPaths": []}
    return {"maskedPaths": [*MASKED, *_thermal_throttle()], "readonlyPaths": list(READ_ONLY)}


def lacking(spec: ContainerSpec, sys: str = SYS) -> list[str]:
    """One sentence when the task names an AppArmor profile that the host does not have."""
    known = profiles(sys) if spec.apparmor else frozenset()
    if known is None:
        return [f"the AppArmor profile {spec.apparmor} cannot be looked for: securityfs is not mounted"]
    missing = spec.apparmor and spec.apparmor not in known
    return [f"the AppArmor profile {spec.apparmor} is not loaded on this host"] if missing else []


def seccomp(spec: ContainerSpec) -> dict[str, Any] | None:
    """The filter of system calls, as the runtime's specification has it; None for none."""
    if spec.privileged or spec.seccomp == UNCONFINED:
        return None
    host = os.uname()
    if spec.seccomp != "default":
        from .seccomp_file import resolve

        return resolve(json.loads(spec.seccomp), capabilities(spec), host.release, host.machine)
    # Only what writes a bundle needs the lists.
    from .seccomp_profile import profile

    return profile(capabilities(spec), host.release, host.machine)


def digest(seccomp: dict[str, Any]) -> str:
    """A name for the program that is made of `seccomp` here, one for all containers that ask for the same."""
    key = json.dumps([FILTER_VERSION, os.uname().machine, seccomp], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _thermal_throttle() -> list[str]:
    """A side channel on the load of the host's processors (GHSA-6fw5-f8r9-fgfm)."""
    return sorted(glob.glob("/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"))
