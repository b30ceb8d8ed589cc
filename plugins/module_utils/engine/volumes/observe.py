# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there of a volume. Reads only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from .record import VolumeRecord, find
from .users import users


@dataclass(frozen=True)
class Observation:
    """One volume as it is.

    `written` says that the record is on disk, `data` that the content's directory is there, `directory` that anything
    is. `users` are the names of the containers that have it.
    """

    name: str
    record: Optional[VolumeRecord] = None
    corrupt: bool = False
    written: bool = False
    data: bool = False
    directory: bool = False
    users: tuple[str, ...] = ()


def observe(paths: Paths, name: str) -> Observation:
    """The volume called `name`."""
    corrupt = False
    try:
        record = find(paths, name)
    except CorruptRecord:
        record, corrupt = None, True
    return Observation(
        name=name,
        record=record,
        corrupt=corrupt,
        written=os.path.lexists(paths.volume_record(name)),
        data=os.path.isdir(paths.volume_data(name)),
        directory=os.path.isdir(paths.volume(name)),
        users=users(paths, name) if os.path.isdir(paths.volume(name)) else (),
    )
