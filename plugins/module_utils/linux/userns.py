# SPDX-License-Identifier: GPL-3.0-or-later
"""User namespaces kept at a path (user_namespaces(7)): a range of the host's ids that is 0 and up inside.

A namespace that is made by a process inside belongs to its users: a network is made so, for its root to rule it.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Callable

from . import libc, pins
from .files import read_text, write_kernel


def create(path: str, first: int, count: int) -> None:
    """Keep a user namespace at `path` whose ids from 0 on are the host's from `first` on; one that is there stays."""
    if pins.pinned(path):
        return
    with _child(lambda: libc.unshare(libc.CLONE_NEWUSER)) as pid:
        for kind in ("uid", "gid"):
            write_kernel(f"/proc/{pid}/{kind}_map", f"0 {first} {count}")
        pins.pin(f"/proc/{pid}/ns/user", path)


def open_new(uid_map: str, gid_map: str) -> int:
    """A new user namespace, which lives while the descriptor is open; maps are lines of `inside outside count`."""
    with _child(lambda: libc.unshare(libc.CLONE_NEWUSER)) as pid:
        write_kernel(f"/proc/{pid}/uid_map", uid_map)
        write_kernel(f"/proc/{pid}/gid_map", gid_map)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def maps(path: str) -> dict[str, list[tuple[int, int, int]]]:
    """The maps of the namespace kept at `path`, by `uid` and `gid`: first id inside, first outside, how many."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _child(lambda: libc.setns(fd, libc.CLONE_NEWUSER)) as pid:
            texts = {kind: read_text(f"/proc/{pid}/{kind}_map") for kind in ("uid", "gid")}
    finally:
        os.close(fd)
    lines = {kind: [line.split() for line in text.splitlines()] for kind, text in texts.items()}
    return {
        kind: [(int(inside), int(outside), int(count)) for inside, outside, count in found]
        for kind, found in lines.items()
    }


def create_network(users: str, path: str) -> None:
    """Keep a network namespace at `path` that belongs to the user namespace kept at `users`; one there stays."""
    if pins.pinned(path):
        return

    def begin() -> None:
        fd = os.open(users, os.O_RDONLY | os.O_CLOEXEC)
        libc.setns(fd, libc.CLONE_NEWUSER)
        libc.unshare(libc.CLONE_NEWNET)

    with _child(begin) as pid:
        pins.pin(f"/proc/{pid}/ns/net", path)


@contextlib.contextmanager
def _child(begin: Callable[[], None]) -> Iterator[int]:
    """The pid of a child that has done `begin` and only waits from then on."""
    ready_read, ready_write = os.pipe()
    end_read, end_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(begin, ready_write, end_read, end_write)
    os.close(ready_write)
    os.close(end_read)
    try:
        answer = os.read(ready_read, 16)
        if answer != b"ready":
            number = int(answer or errno.ECHILD)
            raise OSError(number, os.strerror(number))
        yield pid
    finally:
        os.close(ready_read)
        os.close(end_write)
        os.waitpid(pid, 0)


def _be_child(begin: Callable[[], None], ready: int, end: int, end_write: int) -> None:
    """Nothing is imported or unwound here: the parent may be an Ansible module."""
    try:
        os.close(end_write)
        begin()
        os.write(ready, b"ready")
        os.read(end, 1)
    except OSError as exc:
        os.write(ready, str(exc.errno).encode())
    finally:
        os._exit(0)
