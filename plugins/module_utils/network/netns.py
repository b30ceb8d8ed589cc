# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces pinned at a path (network_namespaces(7)).

A namespace lives as long as a process, a descriptor or a bind mount refers to it. The bind mount over a file is what
lets a container's network be complete before its process starts, and stay while the process is restarted.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Optional

from ..linux import libc
from ..linux.files import write_kernel

SELF = "/proc/thread-self/ns/net"
MS_BIND = 4096
MNT_DETACH = 2
INTERFACES = {"disable_ipv6": "1", "accept_ra": "0", "accept_dad": "0"}
"""Settings that every interface begins with, but the loopback, which is there before. IPv6 is turned on for those that
have an address; nobody probes for addresses that are known to be free (RFC 4862 5.4), and no router is believed."""


def exists(path: str) -> bool:
    """Whether a namespace is pinned at `path`: the file is then one of nsfs, the file system of /proc/PID/ns."""
    try:
        return os.stat(path).st_dev == os.stat(SELF).st_dev
    except FileNotFoundError:
        return False


def create(path: str) -> None:
    """Pin a new namespace at `path`; one that is already there is kept."""
    if exists(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    with _returning():
        libc.unshare(libc.CLONE_NEWNET)
        for name, value in INTERFACES.items():
            with contextlib.suppress(FileNotFoundError):  # the kernel has no IPv6
                write_kernel(f"/proc/sys/net/ipv6/conf/default/{name}", value)
        libc.mount(SELF, path, None, MS_BIND)


def delete(path: str) -> None:
    """Let go of the namespace at `path`. When nobody else holds it the kernel takes down all its interfaces, later."""
    with contextlib.suppress(FileNotFoundError):
        while exists(path):
            libc.umount2(path, MNT_DETACH)
        os.unlink(path)


@contextlib.contextmanager
def entered(path: Optional[str]) -> Iterator[None]:
    """Be in the namespace at `path` for as long as it takes to open a socket; None is the own one."""
    if path is None:
        yield
        return
    if not exists(path):
        raise OSError(errno.ENOENT, "no network namespace is pinned here", path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _returning():
            libc.setns(fd, libc.CLONE_NEWNET)
            yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def _returning() -> Iterator[None]:
    """Come back to the namespace of the beginning, whatever happens. Only the calling thread moves."""
    home = os.open(SELF, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            libc.setns(home, libc.CLONE_NEWNET)
        finally:
            os.close(home)
