# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that itself lives in a chroot: its containers' root is the one of their mount namespace, not one below it.

Else whoever joins the namespace, such as an exec, and whoever leaves a chroot of its own by `..`, stands in the host's
root.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MS_BIND, MS_REC
from ansible_collections.mini.containers.plugins.module_utils.linux.probe import in_namespaces


def _in_chroot(root: Path, work: Callable[[], str]) -> str:
    """Do `work` in a directory that is no mount point, and that shows everything the host's root does."""

    def inside() -> str:
        for entry in os.scandir("/"):
            place = root / entry.name
            if entry.is_symlink():
                place.symlink_to(os.readlink(entry))
            elif entry.is_dir():
                place.mkdir()
                libc.mount(entry.path, str(place), None, MS_BIND | MS_REC)
        os.chroot(root)
        os.chdir("/")
        return work()

    return in_namespaces(libc.CLONE_NEWNS, inside)


def test_exec_stays_in_the_container(host: Any, tmp_path: Path) -> None:
    (tmp_path / "jail").mkdir()

    def work() -> str:
        host.container()
        try:
            return host.exec("c", "sh", "-c", "ls /; ls -d /../usr").stdout.decode()
        finally:
            host.absent("c")

    assert _in_chroot(tmp_path / "jail", work).split() == ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"]
