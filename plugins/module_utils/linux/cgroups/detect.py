# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cgroup hierarchies the host has (cgroups(7)), and the driver that fits.

A host has v2 (one hierarchy), v1 (one a controller, some mounted together), or both ("hybrid"). A controller can be
in one hierarchy only, so "v2" here means: the memory controller is in the unified hierarchy.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Union

from ..files import read_text
from ..mountinfo import mounts
from .v1 import CgroupV1
from .v2 import CgroupV2

Cgroup = Union[CgroupV1, CgroupV2]
_V1_CONTROLLERS = frozenset(
    "cpu cpuacct cpuset memory devices freezer blkio pids net_cls net_prio perf_event hugetlb rdma misc".split()
)


class Hierarchies(NamedTuple):
    """Mount points: `v1` maps each one to its mount options (`cpu,cpuacct`, `name=systemd`).

    Beside them may stand a v2 hierarchy that has no controllers and no options: in it, systemd tracks processes.
    """

    unified: str
    v1: dict[str, str]


def hierarchies(mountinfo: str = "/proc/self/mountinfo") -> Hierarchies:
    """Read the mounted hierarchies, each by its first mount: binds elsewhere, for a chroot say, show it once more.

    `unified` is empty when v2 is not mounted or holds no memory controller.
    """
    unified = ""
    v1: dict[str, str] = {}
    for entry in mounts(mountinfo, "cgroup"):
        if entry.fstype == "cgroup2":
            if "memory" in read_text(os.path.join(entry.target, "cgroup.controllers"), default="").split():
                unified = unified or entry.target
            elif entry.root == "/":
                v1.setdefault("", entry.target)
        elif entry.fstype == "cgroup" and entry.root == "/":
            options = entry.super_options.split(",")
            kept = [option for option in options if option in _V1_CONTROLLERS or option.startswith("name=")]
            v1.setdefault(",".join(kept), entry.target)
    return Hierarchies(unified, {target: options for options, target in v1.items()})


def open_cgroup(path: str, found: Hierarchies | None = None) -> Cgroup:
    """The cgroup at `path` (`/mini/<id>`) of every hierarchy, whether it exists yet or not."""
    found = found or hierarchies()
    if found.unified:
        return CgroupV2(found.unified, path)
    return CgroupV1(found.v1, path)
