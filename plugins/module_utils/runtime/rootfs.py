# SPDX-License-Identifier: GPL-3.0-or-later
"""The container's root: what is mounted as such, what is hidden in it, and the change of root. Mounts: mounts.py.

Everything is done before the change of root, through descriptors that were resolved inside the new root
(`openat2` with RESOLVE_IN_ROOT): no link in an image or a shared volume can lead a mount or a file outside, however
it is swapped meanwhile (CVE-2021-30465, CVE-2024-45310). The change of root itself is the last step.

The bundle's first mount may have the destination `/`: then it is the root itself, an overlay as a rule. It is mounted
in the container's own mount namespace, so that the host never sees it and nothing is left when the namespace ends.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

from ..linux import libc
from ..linux.files import open_in_root
from ..linux.mount import bind, change_flags, enter_namespace_root, fd_path, make_read_only, propagate, set_propagation
from ..linux.mount_options import (
    MNT_DETACH,
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    parse_options,
)
from ..linux.mountinfo import mounts
from ..linux.overlay import mount_overlay
from .bundle import IDMAPPED, Bundle
from .report import StepError

_ROOT_ERRORS = {
    errno.ENODEV: "this kernel has no overlayfs; load the module overlay, or boot a kernel that has it",
    errno.EINVAL: "the file system of the state root cannot carry an overlay; put the state root on ext4 or xfs",
    errno.ENOENT: "a layer of its image is gone; make the image again",
}
_SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC


def return_to_host(host_fd: int) -> None:
    """Leave the launcher's mount namespace, whose mounts send nothing to the host, for the host's own, `host_fd`.

    The interpreter stays read-only for us: it was executed through a mount of the namespace that we leave.
    """
    before = os.stat("/")
    libc.setns(host_fd, libc.CLONE_NEWNS)
    if not os.path.samestat(before, os.stat("/")):
        raise StepError("a mount cannot be shared with the host from within a chroot; leave its propagation out", "/")


def mount_root(bundle: Bundle, users_fd: int = -1) -> int:
    """Mount the root and return a descriptor of it.

    What the container mounts must not go out to the host, unless the bundle asks for it (`shared`); even then nothing
    of the root itself may, which pivot_root(2) insists on.
    """
    path = os.path.realpath(bundle.root_path)
    if shares(bundle):
        libc.mount(None, _mount_of(path), None, MS_PRIVATE)
    else:
        set_propagation(MS_SLAVE)
    layers = [directory for entry in bundle.mounts for directory in entry.get(IDMAPPED) or ()] if users_fd >= 0 else []
    for directory in dict.fromkeys(layers):
        _idmap(directory, users_fd)
    if bundle.mounts and bundle.mounts[0]["destination"] == "/":
        _mount_image(path, bundle.mounts[0])
    else:
        libc.mount(path, path, None, MS_BIND | MS_REC)
    root_fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if bundle.propagation and not bundle.propagation & MS_SHARED:
        propagate(root_fd, bundle.propagation)
    return root_fd


def shares(bundle: Bundle) -> bool:
    """Whether mounts are to go out to the host."""
    wanted = [parse_options(entry.get("options") or ()).propagation for entry in bundle.mounts]
    return any(propagation & MS_SHARED for propagation in (bundle.propagation, *wanted))


def _mount_of(path: str) -> str:
    """The mount point of the file system that `path` is on."""
    targets = {entry.target for entry in mounts()}
    while path not in targets and path != "/":
        path = os.path.dirname(path)
    return path


def _idmap(path: str, users_fd: int) -> None:
    """Lay over a directory a view of it in which its files belong to the container's users.

    In this mount namespace only, and under the same name, so that whoever names it now means the view.
    """
    source = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(bind(source, source, recursive=False, users_fd=users_fd))
    except OSError as exc:
        reason = f"{path} cannot be shown with other owners ({os.strerror(exc.errno or 0)})"
        hint = "userns_mode private needs Linux 5.19 and a state root on ext4, xfs or btrfs"
        raise StepError(f"{reason}; {hint}", path, exc.errno or 0) from exc
    finally:
        os.close(source)


def _mount_image(root_path: str, entry: dict[str, Any]) -> None:
    options = parse_options(entry.get("options") or ())
    try:
        if entry["type"] == "overlay":
            mount_overlay(root_path, options.flags, options.data)
        else:
            libc.mount(entry.get("source"), root_path, entry["type"], options.flags, options.data)
    except OSError as exc:
        reason = _ROOT_ERRORS.get(exc.errno or 0)
        if reason is None:
            raise
        raise StepError(f"cannot mount the container's root: {reason}", root_path, exc.errno or 0) from exc


def mask(root_fd: int, paths: list[str], null_fd: int) -> None:
    """Hide paths: a file behind /dev/null, a directory behind an empty read-only tmpfs. What is missing is skipped.

    `null_fd` was opened on the host and checked, so no image can put another file in its place (CVE-2025-31133).
    """
    for path in paths:
        target = _existing(root_fd, path)
        if target is None:
            continue
        if stat.S_ISDIR(os.fstat(target).st_mode):
            libc.mount("tmpfs", fd_path(target), "tmpfs", MS_RDONLY | _SAFE, "nr_blocks=1,nr_inodes=1")
        else:
            os.close(bind(null_fd, target, recursive=False))
        os.close(target)


def protect(root_fd: int, paths: list[str]) -> None:
    """Make paths read-only by binding each over itself. What is missing is skipped."""
    for path in paths:
        target = _existing(root_fd, path)
        if target is None:
            continue
        mounted = bind(target, target)
        make_read_only(mounted)
        os.close(mounted)
        os.close(target)


def _existing(root_fd: int, path: str) -> int | None:
    try:
        return open_in_root(root_fd, path, os.O_PATH)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def open_null() -> int:
    """The host's /dev/null, checked to be that device."""
    fd = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        raise StepError("the host's /dev/null is not the null device", "/dev/null")
    return fd


def pivot(root_fd: int, bundle: Bundle) -> None:
    """Change the root to `root_fd` and let go of the old one: pivot_root(2), "pivot_root(".", ".")".

    The namespace's own root is replaced, not the one of a chroot that we may be in: whoever joins the namespace lands
    there, and `..` leads there from a chroot that the container makes.
    """
    enter_namespace_root()
    old = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root_fd)
    libc.pivot_root(".", ".")
    os.fchdir(old)
    libc.mount(None, ".", None, MS_REC | MS_SLAVE)
    libc.umount2(".", MNT_DETACH)
    os.close(old)
    os.chdir("/")
    _finish(bundle)


def move(root_fd: int, bundle: Bundle) -> None:
    """Where the root is the kernel's first one, an initramfs, which pivot_root(2) refuses: move over it and chroot.

    The mounts of the host stay below, so this is for the caller to ask for.
    """
    _leave_kernel_files(os.path.realpath(bundle.root_path))
    os.fchdir(root_fd)
    libc.mount(os.path.realpath(bundle.root_path), "/", None, MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    _finish(bundle)


def _leave_kernel_files(root_path: str) -> None:
    """Let go of the host's /proc and /sys.

    As long as one is there to be seen whole, who is root in a user namespace may mount another one, without the masks
    of ours (mount_too_revealing in fs/namespace.c). What the host has under them must not go with them.
    """
    found = [entry.target for kind in ("proc", "sysfs") for entry in mounts(kind=kind) if entry.root == "/"]
    outside = [path for path in found if not path.startswith(f"{root_path}/")]
    for mount in {_mount_of(os.path.dirname(path)) for path in outside}:
        libc.mount(None, mount, None, MS_SLAVE)
    for path in reversed(outside):
        try:
            libc.umount2(path, MNT_DETACH)
        except OSError:  # it is not ours to take away
            libc.mount("tmpfs", path, "tmpfs", MS_RDONLY | _SAFE, "nr_blocks=1,nr_inodes=1")


def _finish(bundle: Bundle) -> None:
    root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if bundle.propagation & MS_SHARED:
        propagate(root_fd, bundle.propagation)
    if bundle.config["root"].get("readonly"):
        read_only = parse_options(["ro"]).own
        change_flags(root_fd, read_only, recursive=False)
    os.close(root_fd)
