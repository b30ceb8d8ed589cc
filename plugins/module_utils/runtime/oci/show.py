# SPDX-License-Identifier: GPL-3.0-or-later
"""`state`, `list`, `ps`, `features` and `spec`: what the command can tell."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from ...core.errors import Conflict
from ...linux import mount_options, seccomp
from ...linux.capabilities import DEFAULT, NAMES
from ...linux.seccomp_filter import ACTIONS, OPERATORS
from ..bundle import DEFAULT_PATH, NAMESPACES
from . import config
from .options import SPEC_VERSION, VERSION
from .store import every, find


def show(text: str) -> None:
    """Standard output is the command's answer."""
    os.write(1, text.encode() + b"\n")


def state(options: argparse.Namespace) -> None:
    """The specification's state, as JSON."""
    show(json.dumps(find(options.root, options.id).told(), indent=2))


def list_(options: argparse.Namespace) -> None:
    """All containers."""
    found = [container.told() for container in every(options.root)]
    if options.quiet:
        show("\n".join(one["id"] for one in found))
    elif options.format == "json":
        show(json.dumps(found))
    else:
        rows = [(one["id"], one["pid"], one["status"], one["bundle"], one["created"]) for one in found]
        show(_table(("ID", "PID", "STATUS", "BUNDLE", "CREATED"), rows))


def processes(options: argparse.Namespace) -> None:
    """The processes of a container, by their pids on the host."""
    found = find(options.root, options.id).cgroup.processes()
    if options.format == "json":
        show(json.dumps(found))
        return
    show(_table(("PID", "CMD"), [(pid, _command(pid)) for pid in found]))


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as handle:
            return handle.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    cells = [head, *(tuple(map(str, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("   ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def version(options: argparse.Namespace) -> None:
    """As engines parse it."""
    del options
    show(f"mini-oci version {VERSION}\nspec: {SPEC_VERSION}")


def features(options: argparse.Namespace) -> None:
    """What bundles can ask for (features.md)."""
    del options
    linux = {
        "namespaces": sorted(NAMESPACES),
        "capabilities": NAMES,
        "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": True},
        "seccomp": {
            "enabled": True,
            "actions": sorted(ACTIONS),
            "operators": sorted(OPERATORS),
            "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
            "knownFlags": sorted(seccomp.FLAGS),
            "supportedFlags": seccomp.supported_flags(),
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": False},
        "intelRdt": {"enabled": False},
        "mountExtensions": {"idmap": {"enabled": True}},
    }
    found = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(config.HOOKS),
        "mountOptions": sorted(
            {
                *mount_options.FLAGS,
                *mount_options.CLEARED,
                *mount_options.PROPAGATION,
                *mount_options.RECURSIVE,
                "tmpcopyup",
            }
        ),
        "linux": linux,
        "annotations": {"mini.containers/version": VERSION},
    }
    show(json.dumps(found, indent=2))


def spec(options: argparse.Namespace) -> None:
    """Write a `config.json` to begin with."""
    path = os.path.join(options.bundle, "config.json")
    text = json.dumps(_example(), indent=2) + "\n"
    try:
        with open(path, "x", encoding="ascii") as handle:
            handle.write(text)
    except FileExistsError as exc:
        raise Conflict(f"{path} exists already", hint="remove it first") from exc


def _example() -> dict[str, Any]:
    safe = ["nosuid", "noexec", "nodev"]
    mounts = [
        ("/proc", "proc", safe),
        ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", [*safe, "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", safe),
        ("/sys", "sysfs", [*safe, "ro"]),
        ("/sys/fs/cgroup", "cgroup", [*safe, "relatime", "ro"]),
    ]
    return {
        "ociVersion": SPEC_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [f"PATH={DEFAULT_PATH}", "TERM=xterm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DEFAULT),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "mini",
        "mounts": [
            {"destination": target, "type": kind, "source": kind, "options": options}
            for target, kind, options in mounts
        ],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }
