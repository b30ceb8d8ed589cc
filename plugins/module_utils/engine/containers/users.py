# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the host's user and group ids a container has for itself, with `userns_mode: private`.

Each container has a range of its own: one that breaks out is nobody, and not even the nobody that another one is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...core.errors import HostLacks
from ...core.paths import Paths
from ...linux.files import read_text
from .record import every

COUNT = 65536
# The ids that systemd sets aside for containers (systemd.io/UIDS-GIDS), beyond those it assigns itself.
RANGE = range(524_288, 1_879_048_192, COUNT)
_SUBORDINATE = ("/etc/subuid", "/etc/subgid")


def free_range(paths: Paths) -> int:
    """The first id of a range that no container has, and nobody else according to subuid(5)."""
    taken = {record.userns for record in every(paths)}
    others = [entry for path in _SUBORDINATE for entry in _ranges(read_text(path, default=""))]
    for first in RANGE:
        if first not in taken and not any(first < end and begin < first + COUNT for begin, end in others):
            return first
    raise HostLacks("no range of user ids is left for a container", hint="remove containers, or leave userns_mode out")


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[1].isdigit() and fields[2].isdigit():
            yield int(fields[1]), int(fields[1]) + int(fields[2])


def mappings(first: int) -> dict[str, Any]:
    """`linux.uidMappings` and `gidMappings` of the bundle."""
    found = [{"containerID": 0, "hostID": first, "size": COUNT}]
    return {"uidMappings": found, "gidMappings": found} if first else {}
