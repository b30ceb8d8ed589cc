# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted in a container: its root, the kernel's file systems, files in /etc, and what the task asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

from ...core.errors import BadInput
from ...core.paths import Paths
from ...core.specs.container import ContainerSpec, Secret
from ...core.specs.volume import Mount
from ...linux.mount import recurses
from ...linux.mountinfo import is_shared
from ...linux.overlay import overlay_data
from ...runtime.bundle import IDMAPPED, SUBTREE, WITHIN
from . import firstborn
from .namespaces import SHM_SIZE, shm
from .record import ContainerRecord

_SAFE = ["nosuid", "noexec", "nodev"]
EMPTY = "empty"  # a directory of each container that has an image mounted
KERNEL_MOUNTS: tuple[tuple[str, str, list[str]], ...] = (
    ("/proc", "proc", _SAFE),
    ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    ("/sys", "sysfs", [*_SAFE, "ro"]),
    ("/sys/fs/cgroup", "cgroup", [*_SAFE, "ro"]),
    ("/dev/mqueue", "mqueue", _SAFE),
    ("/dev/shm", "tmpfs", [*_SAFE, "mode=1777"]),
)
SHARED = ("shared", "rshared")
MANAGED_FILES = ("hosts", "hostname", "resolv.conf")


Donors = Mapping[str, Optional[tuple[Mount, ...]]]
"""The mounts of each container in `volumes_from`, None for one that does not exist."""


def resolve(spec: ContainerSpec, image_volumes: Iterable[str], donors: Donors) -> tuple[Mount, ...]:
    """All mounts, by target, of a container that will be made. An anonymous volume has no source yet.

    What the task names goes before what `volumes_from` names, and that before the image's own volumes.
    """
    found = {mount.target: mount for mount in spec.mounts}
    for mount in _inherited(spec, donors):
        found.setdefault(mount.target, mount)
    for path in image_volumes:
        target = os.path.normpath("/" + path.strip("/"))
        if target == "/":
            raise BadInput(f"the image {spec.image} says that its root is a volume, which it cannot be")
        found.setdefault(target, Mount(target, "", kind="volume"))
    return tuple(found[target] for target in sorted(found))


def _inherited(spec: ContainerSpec, donors: Donors) -> Iterator[Mount]:
    """What others have mounted that a second container can have as well: everything that is not in memory."""
    for entry in spec.volumes_from:
        for mount in donors.get(entry.container) or ():
            if mount.kind != "tmpfs":
                yield replace(mount, read_only=mount.read_only or entry.read_only, no_copy=True)


def mounts(paths: Paths, record: ContainerRecord, layer_dirs: Sequence[str]) -> list[dict[str, Any]]:
    """All mounts in order, outer ones first. A mount of the task replaces the default at the same place."""
    spec = record.spec
    wanted = [*record.all_mounts(), *(_secret(paths, record.id, secret) for secret in spec.secrets)]
    asked = {mount.target for mount in wanted}
    shared = {path: source for path, source in shm(paths, record).items() if path not in asked}
    found = [_root(paths, record.id, layer_dirs)]
    found += [_kernel(spec, *entry) for entry in KERNEL_MOUNTS if entry[0] not in (*asked, *shared)]
    found += [_bind(Mount(path, source), paths) for path, source in shared.items() if source]
    for name in MANAGED_FILES:
        if f"/etc/{name}" not in asked:
            found.append(_bind(Mount(f"/etc/{name}", paths.container(record.id, name)), paths))
    found += [_mounted(paths, record.id, mount) for mount in _outer_first(wanted)]
    if spec.init:
        found.append(_bind(Mount(firstborn.PLACE, firstborn.program(), read_only=True), paths))
    return _for_users(paths, record, layer_dirs, found) if record.userns else found


def _for_users(
    paths: Paths, record: ContainerRecord, layer_dirs: Sequence[str], found: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The same mounts, their files shown as the container's own users': on the disk nothing is given away."""
    home = paths.container(record.id)
    of_its_users = (home, paths.run(record.id), paths.secrets(record.id))
    for entry in found:
        if entry["destination"] == "/":
            # The container's own layer and its work directory have to be on one mount.
            entry[IDMAPPED] = [*layer_dirs, home]
        elif entry["type"] == "devpts":
            entry["options"] = [option.replace("gid=5", f"gid={record.userns + 5}") for option in entry["options"]]
        elif entry["type"] == "bind" and os.path.dirname(entry["source"]) not in of_its_users:
            entry["options"] = [*entry["options"], "ridmap"]
    return found


def stored(
    paths: Paths, record: ContainerRecord, layer_dirs: Sequence[str], *, read_only: bool
) -> list[dict[str, Any]]:
    """The root and what is mounted there that is on a disk: all that there is of a container that does not run.

    It is looked at in private, whatever the container shares with the host when it runs.
    """
    kept = [replace(mount, propagation="rprivate") for mount in record.all_mounts() if mount.kind != "tmpfs"]
    root = _root(paths, record.id, layer_dirs, read_only)
    return [root, *(_mounted(paths, record.id, mount) for mount in _outer_first(kept))]


def _mounted(paths: Paths, container_id: str, mount: Mount) -> dict[str, Any]:
    if mount.kind == "tmpfs":
        return _tmpfs(mount)
    return _image(paths, container_id, mount) if mount.kind == "image" else _bind(mount, paths)


def _outer_first(found: Iterable[Mount]) -> list[Mount]:
    return sorted(found, key=lambda mount: (mount.target.count("/"), mount.target))


def _root(paths: Paths, container_id: str, layer_dirs: Sequence[str], read_only: bool = False) -> dict[str, Any]:
    """The overlay. `nodev`: an image's device nodes are inert; the container's devices are those of its /dev.

    Read-only, the container's own layer is one more layer below, and the kernel writes nothing at all.
    """
    upper, work = paths.container(container_id, "upper"), paths.container(container_id, "work")
    data = overlay_data([*layer_dirs, upper]) if read_only else overlay_data(layer_dirs, upper, work)
    options = ["nodev", *(["ro"] if read_only else []), data]
    return {"destination": "/", "type": "overlay", "source": "overlay", "options": options}


def _secret(paths: Paths, container_id: str, secret: Secret) -> Mount:
    return Mount(secret.target, os.path.join(paths.secrets(container_id), secret.name), read_only=True)


def _kernel(spec: ContainerSpec, target: str, kind: str, options: list[str]) -> dict[str, Any]:
    if target == "/dev/shm":
        options = [*options, f"size={spec.shm_size or SHM_SIZE}"]
    if spec.privileged:
        options = [option for option in options if option != "ro"]
    return {"destination": target, "type": kind, "source": kind, "options": options}


def _bind(mount: Mount, paths: Paths) -> dict[str, Any]:
    """A volume begins with what the image has: its device nodes are as inert there as in the root."""
    read_only = "ro" if mount.read_only_non_recursive or mount.non_recursive else "rro"
    options = ["bind" if mount.non_recursive else "rbind", mount.propagation, read_only if mount.read_only else "rw"]
    options += ["nodev"] if mount.kind == "volume" else []
    found = {"destination": mount.target, "type": "bind", "source": source(paths, mount), "options": options}
    return {**found, WITHIN: paths.volume_data(mount.source)} if mount.subpath else found


def _image(paths: Paths, container_id: str, mount: Mount) -> dict[str, Any]:
    """An image's tree. An overlay that cannot be written needs two directories: an empty one is the second."""
    layers = [paths.layer(chain_id) for chain_id in mount.layers]
    options = ["nodev", "ro", overlay_data([paths.container(container_id, EMPTY), *layers])]
    found = {"destination": mount.target, "type": "overlay", "source": "overlay", "options": options}
    return {**found, IDMAPPED: layers, **({SUBTREE: mount.subpath} if mount.subpath else {})}


def _tmpfs(mount: Mount) -> dict[str, Any]:
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": [*_SAFE, *mount.options]}


def not_read_only(asked: Iterable[Mount]) -> list[str]:
    """One sentence for each mount that is to be read-only all the way down, on a kernel that cannot do that."""
    deep = [mount.target for mount in asked if mount.read_only_force_recursive]
    if not deep or recurses():
        return []
    return [f"{path} is to be read-only with all below it, which takes Linux 5.12" for path in deep]


def unshared(asked: Iterable[Mount]) -> list[str]:
    """One sentence for each mount that is to be shared with the host and cannot be."""
    sources = [mount.source for mount in asked if mount.propagation in SHARED]
    return [f"{path}, which is to be shared, is not on a shared mount" for path in sources if not is_shared(path)]


def source(paths: Paths, mount: Mount) -> str:
    """Where on the host a mount's content is; of an image, which."""
    base = paths.volume_data(mount.source) if mount.kind == "volume" else mount.source
    return os.path.join(base, mount.subpath) if mount.subpath and mount.kind != "image" else base
