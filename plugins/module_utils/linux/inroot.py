# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories and files that are made inside a root, such as the places of mounts in that of a container.

Each component is resolved inside the root, so links are followed as the container would follow them. Where a link leads
to nothing, what it leads to is made: images have `/etc/resolv.conf -> ../run/…` and `/etc/localtime -> …/UTC`.
"""

from __future__ import annotations

import contextlib
import errno
import os

from .files import open_in_root

_MOST_LINKS = 40  # the kernel's own number (path_resolution(7))
_NEW_FILE = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make_dirs_in_root(root_fd: int, path: str, mode: int = 0o755) -> int:
    """Create a directory and its parents; an O_PATH descriptor of it is returned."""
    (done, left), links = _there(root_fd, _components(path)), 0
    while left:
        part = left.pop()
        parent = open_in_root(root_fd, done or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            target = "" if part == ".." else _make_dir(root_fd, parent, part, f"{done}/{part}", mode)
        finally:
            os.close(parent)
        if target:
            links = _count_link(links, path)
            done = "" if target.startswith("/") else done
            left += _components(target)
        else:
            done = f"{done}/{part}"
    return open_in_root(root_fd, done or "/", os.O_PATH | os.O_DIRECTORY)


def make_file_in_root(root_fd: int, path: str, mode: int = 0o644) -> int:
    """The same for a file, empty when it is new. What is there already is not opened: it may be a device."""
    links = 0
    while True:
        with contextlib.suppress(FileNotFoundError):
            return open_in_root(root_fd, path, os.O_PATH)
        directory, name = os.path.split(path)
        parent = make_dirs_in_root(root_fd, directory)
        try:
            os.close(os.open(name, _NEW_FILE, mode, dir_fd=parent))
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
            links = _count_link(links, path)
            path = os.path.join(directory, os.readlink(name, dir_fd=parent))
        finally:
            os.close(parent)


def _components(path: str) -> list[str]:
    """The last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _there(root_fd: int, components: list[str]) -> tuple[str, list[str]]:
    """How much of the way there is already, and the components that are left: of most ways but the last one."""
    for count in range(len(components)):
        done = "".join(f"/{part}" for part in reversed(components[count:]))
        with contextlib.suppress(FileNotFoundError):
            os.close(open_in_root(root_fd, done, os.O_PATH | os.O_DIRECTORY))
            return done, components[:count]
    return "", components


def _make_dir(root_fd: int, parent: int, name: str, path: str, mode: int) -> str:
    """Create a directory, if nothing has its name. Where that is a link to nothing, what the link says is returned."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        try:
            os.close(open_in_root(root_fd, path, os.O_PATH))
        except FileNotFoundError:
            return os.readlink(name, dir_fd=parent)
    return ""


def _count_link(links: int, path: str) -> int:
    if links == _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return links + 1
