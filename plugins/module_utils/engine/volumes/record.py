# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a volume between tasks. Its content is the directory `_data` beside the record."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ...core.errors import CorruptRecord
from ...core.names import check_name
from ...core.paths import Paths
from ...core.specs.volume import VolumeSpec
from ..records import load, names_in

ANONYMOUS = {"com.docker.volume.anonymous": ""}
"""The label by which Docker, and everybody's clean-up scripts, know a volume that nobody named."""
OF_BUILDS = "mini.containers.build"
"""The label of what a build makes for itself: the containers of its steps, and the volumes that are its caches."""


@dataclass(frozen=True)
class VolumeRecord:
    """A volume. `created` is RFC 3339, UTC."""

    spec: VolumeSpec
    created: str

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def anonymous(self) -> bool:
        """Whether it was made for one container, and may go with it."""
        return set(ANONYMOUS) <= set(self.spec.labels)

    @property
    def build_cache(self) -> bool:
        """Whether it is a cache that steps of builds mount, which is theirs and no container's."""
        return OF_BUILDS in self.spec.labels


def find(paths: Paths, name: str) -> Optional[VolumeRecord]:
    """The volume's record, or None. A directory without a record is a volume without labels."""
    record = load(VolumeRecord, paths.volume_record(check_name("volume", name)))
    if record is not None:
        return record
    try:
        born = os.stat(paths.volume_data(name)).st_mtime
    except OSError:
        return None
    return VolumeRecord(VolumeSpec(name), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(born)))


def every(paths: Paths) -> Iterator[VolumeRecord]:
    """All volumes whose records can be read."""
    for name in names_in(paths.volumes):
        try:
            record = find(paths, name)
        except CorruptRecord:
            continue
        if record is not None:
            yield record
