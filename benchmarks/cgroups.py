# SPDX-License-Identifier: GPL-3.0-or-later
"""A cgroup of the benchmark's own in each hierarchy: seen from inside it is the whole tree, and it goes at the end."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.cgroups.detect import hierarchies, open_cgroup
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MS_NODEV, MS_NOEXEC, MS_NOSUID

MOUNT_POINT = "/sys/fs/cgroup"


class OwnCgroups:
    """Made by the outer process, entered by the inner one, removed by the outer one."""

    def __init__(self, name: str) -> None:
        self.found = hierarchies()
        self.path = f"/{name}"
        self.directories = [mount + self.path for mount in (*self.found.v1, self.found.unified) if mount]

    def create(self) -> None:
        """One in each hierarchy, without limits."""
        open_cgroup(self.path, self.found).create({})

    def enter(self) -> None:
        """Move in. The cgroup namespace that is made next has its root here."""
        for file in open_cgroup(self.path, self.found).join_files():
            Path(file).write_text("0")

    def mount(self) -> None:
        """Show nothing but our own part, at the usual place.

        v2 beside v1 ("hybrid") is left out: not every runtime takes it. With v2 alone the own processes move to a
        leaf, because controllers can be handed down only where no process is.
        """
        flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
        if self.found.unified:
            libc.mount("cgroup", MOUNT_POINT, "cgroup2", flags)
            leaf = Path(MOUNT_POINT, "benchmark")
            leaf.mkdir()
            (leaf / "cgroup.procs").write_text("0")
            return
        libc.mount("tmpfs", MOUNT_POINT, "tmpfs", flags, "mode=755")
        for target, controllers in self.found.v1.items():
            if not controllers:
                continue
            place = Path(MOUNT_POINT, Path(target).name)
            place.mkdir()
            libc.mount("cgroup", str(place), "cgroup", flags, controllers)

    def remove(self) -> None:
        """Every process inside has ended: take the directories away, the innermost first."""
        for top in self.directories:
            for directory, _below, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)
