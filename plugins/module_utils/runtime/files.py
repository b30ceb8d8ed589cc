# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make up the runtime when it is written to the host, relative to `module_utils`."""

from __future__ import annotations

FILES = (
    "core/errors.py",
    "linux/bpf.py",
    "linux/capabilities.py",
    "linux/cgroups/detect.py",
    "linux/cgroups/device_program.py",
    "linux/cgroups/devices.py",
    "linux/cgroups/settings.py",
    "linux/cgroups/throttle.py",
    "linux/cgroups/v1.py",
    "linux/cgroups/v2.py",
    "linux/ebpf.py",
    "linux/files.py",
    "linux/inroot.py",
    "linux/libc.py",
    "linux/loopback.py",
    "linux/mount.py",
    "linux/mount_options.py",
    "linux/mountinfo.py",
    "linux/overlay.py",
    "linux/process.py",
    "linux/scheduling.py",
    "linux/seccomp.py",
    "linux/seccomp_filter.py",
    "linux/syscalls_amd64.py",
    "linux/syscalls_arm64.py",
    "runtime/bundle.py",
    "runtime/checkup.py",
    "runtime/confine.py",
    "runtime/console.py",
    "runtime/copyup.py",
    "runtime/detach.py",
    "runtime/devices.py",
    "runtime/door.py",
    "runtime/exec.py",
    "runtime/filters.py",
    "runtime/health.py",
    "runtime/hooks.py",
    "runtime/init.py",
    "runtime/lean/collections.py",
    "runtime/lean/contextlib.py",
    "runtime/lean/json.py",
    "runtime/lean/signal.py",
    "runtime/lean/typing.py",
    "runtime/log.py",
    "runtime/main.py",
    "runtime/marks.py",
    "runtime/monitor.py",
    "runtime/mounts.py",
    "runtime/orphan.py",
    "runtime/outlets.py",
    "runtime/placement.py",
    "runtime/probe.py",
    "runtime/report.py",
    "runtime/restart.py",
    "runtime/rootfs.py",
    "runtime/spawn.py",
    "runtime/starter.py",
    "runtime/state.py",
    "runtime/streams.py",
    "runtime/users.py",
    "runtime/usher.py",
    "runtime/visit.py",
    "runtime/wakeup.py",
)

# What the runtime uses of some modules of the standard library, and nothing else of them: imported whole they take
# two megabytes of every monitor, and twelve milliseconds of every start and exec.
STAND_INS = "runtime/lean"


def shipped() -> object:
    """The entry point, and what it takes for the standard library. Ansible sends a host what it sees imported, and
    these are the imports that it sees."""
    from . import main
    from .lean import collections, contextlib, json, signal, typing

    return main, collections, contextlib, json, signal, typing
