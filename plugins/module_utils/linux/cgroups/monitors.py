# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup of the monitors, beside those of the containers.

A task runs in the session of a login, and whatever is in a session's cgroup is killed when the session is terminated.
"""

from __future__ import annotations

import errno

from ..files import write_kernel
from .detect import Hierarchies, hierarchies
from .v1 import CgroupV1
from .v2 import CgroupV2

PATH = "/mini/monitor"


def monitors(found: Hierarchies | None = None, path: str = PATH) -> CgroupV1 | CgroupV2:
    """With v1, only where a service manager tracks processes: limits are no concern of a monitor."""
    found = found or hierarchies()
    if found.unified:
        return CgroupV2(found.unified, path)
    tracked = {target: options for target, options in found.v1.items() if options in ("", "name=systemd")}
    return CgroupV1(tracked, path)


def leave() -> None:
    """Move this process out, to the root, and remove the place if nobody else is there."""
    for path in monitors(path="").join_files():
        write_kernel(path, "0")
    monitors().remove_if_empty()


def move_in(pid: int = 0) -> None:
    """Move a process of one thread there, this one if none is given, and with it those that it forks.

    The removal of the last container may take the place away just then: it is made again.
    """
    cgroup = monitors()
    for attempt in (1, 2, 3):
        try:
            cgroup.create({})
            for path in cgroup.join_files():
                write_kernel(path, str(pid))
            return
        except OSError as exc:
            # ENODEV: the directory went between open(2) and write(2).
            if attempt == 3 or exc.errno not in (errno.ENOENT, errno.ENODEV):
                raise
