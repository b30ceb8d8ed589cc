# SPDX-License-Identifier: GPL-3.0-or-later
"""The mounts of a bundle, in its new root, while that is still only a directory (config.md, "Mounts").

Targets are descriptors that were resolved inside the root; see rootfs.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Any

from ..linux import libc
from ..linux.cgroups.detect import Hierarchies
from ..linux.files import open_in_root
from ..linux.inroot import make_dirs_in_root, make_file_in_root
from ..linux.mount import bind, change_flags, fd_path, propagate
from ..linux.mount_options import MNT_DETACH, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, Change, Options, parse_options
from . import copyup, devices
from .bundle import SUBTREE, USERS, WITHIN, Bundle
from .report import StepError

_KERNEL = ("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts")
PROC_SUPER_MAGIC = 0x9FA0
COPY_UP = "tmpcopyup"
IDMAP, IDMAP_ALL = "idmap", "ridmap"
# Files of /proc that programs take for the machine's, and that others (lxcfs) replace by the container's.
REPLACEABLE = (
    "cpuinfo diskstats loadavg meminfo net/dev slabinfo stat swaps uptime "
    "sys/crypto/fips_enabled sys/kernel/ns_last_pid"
).split()


class Mounter:
    """Mounts one bundle's list into the root that `root_fd` is."""

    def __init__(self, root_fd: int, bundle: Bundle, groups: Hierarchies, users_fd: int = -1) -> None:
        self.root_fd = root_fd
        self.bundle = bundle
        self.groups = groups
        self.users_fd = users_fd
        self.restricted_later: list[tuple[str, Change, bool]] = []

    def mount_all(self) -> None:
        """The mounts in the order given, and the devices."""
        for entry in self.bundle.mounts:
            if entry["destination"] != "/":
                self.mount_one(entry)
        if not any(_clean(entry) == "/dev" for entry in self.bundle.mounts):
            self._populate_dev()
        for device in self.bundle.linux.get("devices") or ():
            devices.make(self.root_fd, device)

    def restrict(self) -> None:
        """What would have been in the way: of mounts in a read-only tmpfs, of a terminal's place in such a /dev."""
        for path, change, recursive in self.restricted_later:
            mounted = open_in_root(self.root_fd, path, os.O_PATH)
            change_flags(mounted, change, recursive=recursive)
            os.close(mounted)

    def mount_one(self, entry: dict[str, Any]) -> None:
        """One entry of the list."""
        try:
            self._mount(entry)
        except OSError as exc:
            what = f"{entry.get('source') or entry.get('type', 'bind')} on {entry['destination']}"
            options = ",".join(entry.get("options") or ())
            reason = os.strerror(exc.errno or 0) + (f"; its options are {options}" if options else "")
            raise StepError(f"cannot mount {what}: {reason}", entry["destination"], exc.errno or 0) from exc

    def _mount(self, entry: dict[str, Any]) -> None:
        kind = entry.get("type") or "bind"
        options = parse_options(entry.get("options") or ())
        if kind in ("bind", "none") or options.flags & MS_BIND:
            self._mount_bind(entry, options)
        elif kind in ("cgroup", "cgroup2"):
            self._mount_cgroup(entry["destination"], options)
        elif kind == "tmpfs":
            self._mount_tmpfs(entry, options)
        else:
            target = self._directory(entry["destination"], plain=kind in _KERNEL)
            _check_target(target, entry, is_proc=kind == "proc")
            libc.mount(entry.get("source", kind), fd_path(target), kind, options.flags, options.data)
            if entry.get(SUBTREE):
                self._narrow(entry["destination"], entry[SUBTREE], target)
            os.close(target)
            self._restrict(entry["destination"], options)

    def _narrow(self, path: str, subtree: str, target: int) -> None:
        """Have a directory of the file system that is mounted at `path`, looked up inside of it, in its place."""
        whole = open_in_root(self.root_fd, path, os.O_PATH)
        part = open_in_root(whole, subtree, os.O_PATH | os.O_DIRECTORY)
        tree = libc.open_tree(part, "", libc.OPEN_TREE_CLONE | libc.AT_EMPTY_PATH)
        os.close(part)
        libc.umount2(fd_path(whole), MNT_DETACH)
        os.close(whole)
        libc.move_mount(tree, target)
        os.close(tree)

    def _restrict(self, path: str, options: Options) -> None:
        """What mount(2) cannot say at once of a new file system."""
        if options.propagation:
            mounted = open_in_root(self.root_fd, path, os.O_PATH)
            propagate(mounted, options.propagation)
            os.close(mounted)
        if any(options.below):
            self.restricted_later.append((path, options.below, True))

    def _mount_tmpfs(self, entry: dict[str, Any], options: Options) -> None:
        path = entry["destination"]
        data = [option for option in options.data.split(",") if option != COPY_UP]
        there = self._mode(path)
        target = self._directory(path, plain=_clean(entry) == "/dev")
        _check_target(target, entry)
        if there is not None and not any(option.startswith("mode=") for option in data):
            # A directory of the image keeps its mode; a new one has the kernel's default, 1777.
            data.append(f"mode={there:o}")
        source = entry.get("source", "tmpfs")
        libc.mount(source, fd_path(target), "tmpfs", options.flags & ~MS_RDONLY, ",".join(filter(None, data)))
        if COPY_UP in options.data.split(","):
            mounted = open_in_root(self.root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
            copyup.copy_tree(target, mounted)
            os.close(mounted)
        os.close(target)
        if _clean(entry) == "/dev":
            self._populate_dev()
        self._restrict(path, options)
        if options.flags & MS_RDONLY:
            self.restricted_later.append((path, Change(MS_RDONLY), False))

    def _mode(self, path: str) -> int | None:
        """The mode of the directory at `path`, None when there is none."""
        try:
            found = open_in_root(self.root_fd, path, os.O_PATH | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        mode = stat.S_IMODE(os.fstat(found).st_mode)
        os.close(found)
        return mode

    def _populate_dev(self) -> None:
        os.close(self._directory("/dev", plain=True))
        dev = open_in_root(self.root_fd, "/dev", os.O_RDONLY | os.O_DIRECTORY)
        devices.populate(dev)
        os.close(dev)

    def _directory(self, path: str, *, plain: bool = False) -> int:
        """The directory at `path` in the new root, made when missing.

        `plain`: no component may be a link. An image whose /proc is a link would have the masks and security
        attributes go to files of its own choice (CVE-2019-16884, CVE-2023-28642).
        """
        if not plain:
            return make_dirs_in_root(self.root_fd, path)
        try:
            with contextlib.suppress(FileNotFoundError):
                return self._open_plain(path)
            os.close(make_dirs_in_root(self.root_fd, path))
            return self._open_plain(path)
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise StepError(f"{path} in the image must be an ordinary directory, not a link", path) from exc
            raise

    def _open_plain(self, path: str) -> int:
        resolve = libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_SYMLINKS
        return libc.openat2(self.root_fd, path, os.O_PATH | os.O_DIRECTORY, resolve)

    def _mount_bind(self, entry: dict[str, Any], options: Options) -> None:
        source = self._source(entry)
        is_directory = stat.S_ISDIR(os.fstat(source).st_mode)
        path = entry["destination"]
        if is_directory:
            target = self._directory(path, plain=_clean(entry) == "/proc")
        else:
            target = make_file_in_root(self.root_fd, path)
        if stat.S_ISDIR(os.fstat(target).st_mode) != is_directory:
            # move_mount(2) would say EINVAL.
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        _check_target(target, entry, is_proc=libc.file_system(source) == PROC_SUPER_MAGIC)
        said = entry.get("options") or ()
        mounted = bind(
            source,
            target,
            recursive=bool(options.flags & MS_REC),
            users_fd=entry.get(USERS, self.users_fd if IDMAP in said or IDMAP_ALL in said else -1),
            users_below=IDMAP_ALL in said,
        )
        os.close(target)
        os.close(source)
        for change, recursive in ((options.own, False), (options.below, True)):
            if change.set or change.clear:
                change_flags(mounted, change, recursive=recursive)
        if options.propagation:
            propagate(mounted, options.propagation)
        os.close(mounted)

    def _source(self, entry: dict[str, Any]) -> int:
        """What is to be bound. A part of a volume is looked up inside of it: others may write links into it."""
        path = os.path.join(self.bundle.directory, entry["source"])
        if WITHIN not in entry:
            return os.open(path, os.O_PATH | os.O_CLOEXEC)
        volume = os.open(entry[WITHIN], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_in_root(volume, os.path.relpath(path, entry[WITHIN]), os.O_PATH)
        finally:
            os.close(volume)

    def _mount_cgroup(self, path: str, options: Options) -> None:
        """The container's own view of its cgroup. With v1 a tmpfs holds one mount for each hierarchy."""
        flags = options.flags & ~MS_REC
        if self.groups.unified:
            self._mount_hierarchy(path, self.groups.unified, "cgroup2", "", flags)
            return
        target = self._directory(path, plain=True)
        libc.mount("cgroup", fd_path(target), "tmpfs", flags & ~MS_RDONLY, "mode=755")
        os.close(target)
        for mountpoint, controllers in self.groups.v1.items():
            name = os.path.basename(mountpoint)
            kind = "cgroup" if controllers else "cgroup2"
            self._mount_hierarchy(os.path.join(path, name), mountpoint, kind, controllers, flags)
            for alias in name.split(",") if "," in name else ():
                self._link(path, alias, name)
        mounted = open_in_root(self.root_fd, path, os.O_PATH)
        libc.mount(None, fd_path(mounted), None, MS_REMOUNT | MS_BIND | flags)
        os.close(mounted)

    def _mount_hierarchy(self, path: str, mountpoint: str, kind: str, controllers: str, flags: int) -> None:
        """With a namespace of its own a container's cgroup is the root; else its part is taken from the host's."""
        target = self._directory(path, plain=True)
        if self.bundle.owns(libc.CLONE_NEWCGROUP):
            libc.mount("cgroup", fd_path(target), kind, flags, controllers)
        else:
            source = os.open(mountpoint + self.bundle.cgroup_path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            mounted = bind(source, target)
            libc.mount(None, fd_path(mounted), None, MS_REMOUNT | MS_BIND | flags)
            os.close(mounted)
            os.close(source)
        os.close(target)

    def _link(self, path: str, name: str, target: str) -> None:
        directory = open_in_root(self.root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
        os.symlink(target, name, dir_fd=directory)
        os.close(directory)


def _clean(entry: dict[str, Any]) -> str:
    path: str = entry["destination"]
    return os.path.normpath("/" + path.lstrip("/"))


def _check_target(target: int, entry: dict[str, Any], *, is_proc: bool = False) -> None:
    """Nothing but procfs may stand where the kernel's files about processes are expected (CVE-2019-19921).

    A security label or a setting would be written to a file that somebody has put there.
    """
    if is_proc:
        return
    inside = libc.file_system(target) == PROC_SUPER_MAGIC
    if _clean(entry) == "/proc" or (inside and not _replaceable(target)):
        where = entry["destination"]
        raise StepError(f"{where} is in /proc, which only the kernel's own files may be mounted on", where)


def _replaceable(target: int) -> bool:
    return os.readlink(fd_path(target)).endswith(tuple(f"/proc/{name}" for name in REPLACEABLE))
