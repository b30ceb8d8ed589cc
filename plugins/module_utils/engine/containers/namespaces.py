# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces and memory that containers share: kept at paths below /run, found again, let go.

The record has the name that the task gave; which namespace was joined is what the path has pinned. When the container
of that name has another one by now, it was made anew, and whoever joined the old one sits apart.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Any

from ...core.errors import Conflict, HostLacks, NotFound
from ...core.paths import Paths
from ...linux import libc, pins, userns
from ...linux.files import make_private_dir
from ...linux.mount_options import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID
from ...linux.process import Process
from ...runtime import state
from .living import live_process
from .record import ContainerRecord, find
from .sharing import HOST, NONE, SHAREABLE, joined
from .users import COUNT

SHM_SIZE = 64 * 2**20
_TYPES = {"net": "network", "pid": "pid", "ipc": "ipc"}


def pin_path(paths: Paths, container_id: str, kind: str) -> str:
    """Where a container's namespace is kept, its own or one it has joined."""
    return paths.netns(container_id) if kind == "net" else paths.run(container_id, kind)


def join(paths: Paths, record: ContainerRecord) -> None:
    """Pin the namespaces that the container is to join."""
    make_private_dir(paths.run(record.id))
    for kind, name in joined(record.spec).items():
        other, process = _running(paths, record.name, name)
        if kind == "ipc" and other.spec.ipc_mode != SHAREABLE:
            raise Conflict(
                f"{record.name} cannot join the ipc namespace of {name}: it is private",
                hint=f"give {name} the ipc_mode shareable",
            )
        pins.pin(f"/proc/{process.pid}/ns/{kind}", pin_path(paths, record.id, kind))
        if not process.alive():
            raise _not_running(record.name, name)


def _running(paths: Paths, who: str, name: str) -> tuple[ContainerRecord, Process]:
    other = find(paths, name)
    if other is None:
        raise NotFound(f"{who} cannot join {name}: there is no such container", hint="make it first")
    process = live_process(state.read(paths.run_state(other.id)))
    if process is None:
        raise _not_running(who, name)
    return other, process


def _not_running(who: str, name: str) -> Conflict:
    return Conflict(f"{who} cannot join {name}: it does not run", hint=f"start {name} first")


def severed(paths: Paths, record: ContainerRecord) -> list[str]:
    """Why a running container has to join again: the other one was made anew, or started anew."""
    found = []
    for kind, name in joined(record.spec).items():
        with contextlib.suppress(NotFound, Conflict):
            _other, process = _running(paths, record.name, name)
            if not pins.same(f"/proc/{process.pid}/ns/{kind}", pin_path(paths, record.id, kind)):
                found.append(f"the {_TYPES[kind]} namespace of {name} is a new one")
    return found


def make_users(paths: Paths, record: ContainerRecord) -> None:
    """The container's own range of ids, as a namespace."""
    make_private_dir(paths.run(record.id))
    try:
        userns.create(paths.run(record.id, "user"), record.userns, COUNT)
    except OSError as exc:
        raise HostLacks(
            f"cannot give {record.name} users of its own: the kernel makes no user namespace ({exc.strerror})",
            hint="see user.max_user_namespaces, or leave userns_mode out",
            errno=exc.errno,
        ) from exc


def make_network(paths: Paths, record: ContainerRecord) -> None:
    """A network that belongs to the container's users, if it has some."""
    if record.userns:
        userns.create_network(paths.run(record.id, "user"), paths.netns(record.id))


def make_shm(paths: Paths, record: ContainerRecord) -> None:
    """Memory for /dev/shm that other containers can be given, too."""
    path = paths.run(record.id, "shm")
    make_private_dir(path)
    if not os.path.ismount(path):
        options = f"mode=1777,size={record.spec.shm_size or SHM_SIZE}"
        libc.mount("shm", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)


def release(paths: Paths, container_id: str) -> None:
    """Let go of all that was pinned for a container but its network."""
    for kind in ("pid", "ipc", "user"):
        pins.unpin(paths.run(container_id, kind))
    try:
        libc.umount2(paths.run(container_id, "shm"), MNT_DETACH)
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.EINVAL):
            raise


def entries(paths: Paths, record: ContainerRecord) -> list[dict[str, str]]:
    """`linux.namespaces` of the bundle: without an entry, a namespace is the host's."""
    spec, others = record.spec, joined(record.spec)
    own = {"mount": "", "uts": spec.uts, "cgroup": spec.cgroupns_mode, "ipc": spec.ipc_mode, "pid": spec.pid_mode}
    found = [{"type": kind} for kind, mode in own.items() if mode != HOST and kind not in others]
    found += [{"type": _TYPES[kind], "path": pin_path(paths, record.id, kind)} for kind in others if kind != "net"]
    if record.userns:
        found.append({"type": "user", "path": paths.run(record.id, "user")})
    if spec.network_mode != HOST:
        found.append({"type": "network", "path": paths.netns(record.id)})
    return found


def shm(paths: Paths, record: ContainerRecord) -> dict[str, Any]:
    """What to do about /dev/shm and /dev/mqueue: path → the host's directory to bind there, None for nothing at all."""
    mode = record.spec.ipc_mode
    if mode == HOST:
        return {path: path for path in ("/dev/shm", "/dev/mqueue") if os.path.isdir(path)}
    if mode == NONE:
        return {"/dev/shm": None}
    if mode == SHAREABLE:
        return {"/dev/shm": paths.run(record.id, "shm")}
    other = joined(record.spec).get("ipc")
    found = find(paths, other) if other else None
    return {"/dev/shm": paths.run(found.id, "shm")} if found else {}
