# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers as one tree (overlayfs): the options of such a mount, of which there may be more than fit into a page."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import libc

_LOWER = "lowerdir="


def overlay_data(lower: Iterable[str], upper: str = "", work: str = "") -> str:
    """Options of an overlay mount, `lower` bottom first as images list layers (overlayfs wants the top first).

    Without `upper` nothing can be written to it; there must be two lower directories then.
    """
    lowers = ":".join(escape(path) for path in reversed(list(lower)))
    # An upper layer must be readable by itself, whatever the kernel's defaults are: a commit turns it into a layer.
    changes = f",upperdir={escape(upper)},workdir={escape(work)}" if upper else ""
    return f"redirect_dir=off,metacopy=off,lowerdir={lowers}{changes}"


def escape(path: str) -> str:
    """Overlayfs splits its options at `,` and `:` unless a backslash stands before them."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def mount_overlay(target: str, flags: int, data: str) -> None:
    """Mount layers at a path that is absolute.

    The kernel takes one page of options (mount(2)), which the paths of some forty layers fill. More of them are called
    by the numbers of their descriptors, relative to /proc/self/fd: that leaves room for all that overlayfs stacks.
    """
    if len(os.fsencode(data)) < os.sysconf("SC_PAGE_SIZE"):
        libc.mount("overlay", target, "overlay", flags, data)
        return
    flags_of_open = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fds = [os.open(".", flags_of_open)]
    try:
        for path in _lower(data):
            fds.append(os.open(path, flags_of_open))
        others = [option for option in _split(data, ",") if not option.startswith(_LOWER)]
        os.chdir("/proc/self/fd")
        libc.mount("overlay", target, "overlay", flags, ",".join([*others, _LOWER + ":".join(map(str, fds[1:]))]))
    finally:
        os.fchdir(fds[0])
        for fd in fds:
            os.close(fd)


def _lower(data: str) -> list[str]:
    """The lower directories in the options of an overlay mount."""
    values = [option[len(_LOWER) :] for option in _split(data, ",") if option.startswith(_LOWER)]
    return [_unescaped(path) for value in values for path in _split(value, ":")]


def _split(text: str, at: str) -> list[str]:
    """At a character before which no backslash stands."""
    parts, escaped = [""], False
    for character in text:
        if character == at and not escaped:
            parts.append("")
        else:
            parts[-1] += character
        escaped = character == "\\" and not escaped
    return parts


def _unescaped(text: str) -> str:
    """What `escape` was given."""
    plain, escaped = "", False
    for character in text:
        escaped = character == "\\" and not escaped
        plain += "" if escaped else character
    return plain
