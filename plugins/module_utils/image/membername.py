# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of an archive's members: bytes, relative to the root, and as a message may show them."""

from __future__ import annotations

from ..core.errors import BadImage


def clean(name: bytes) -> bytes:
    """A member's name relative to the root; `BadImage` for one that climbs out of it."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise BadImage(f"the archive has a name that leads outside: {show(name)}")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def show(name: bytes) -> str:
    """A name for a message: at most 200 characters, and no byte that JSON or a terminal would trip over."""
    text = name[:200].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
