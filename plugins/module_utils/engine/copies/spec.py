# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks to be copied: one file or directory, between a container and its host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional


@dataclass(frozen=True)
class CopySpec:
    """`inside` is a path in the container, `outside` one on the host; `out` says that the copy goes there.

    `content` stands for a file of the host. `follow` and `local_follow` are about a link at the very end of a path,
    inside and outside. `force` replaces files unseen when true, and never when false.
    """

    container: str
    inside: str
    outside: str = ""
    content: Optional[bytes] = field(default=None, repr=False)
    out: bool = False
    follow: bool = False
    local_follow: bool = True
    owner: Optional[tuple[int, int]] = None
    mode: Optional[int] = None
    force: Optional[bool] = None
