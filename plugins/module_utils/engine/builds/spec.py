# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks of a build, in canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...image.platform import Platform
from ...image.reference import Reference

NONE, HOST = "none", "host"
EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class BuildSpec:
    """An image to be built. `context` is a directory on this host, `file` the Containerfile, empty for the usual names.

    `network` is what RUN has: `none`, `host`, the name of a network, or empty for one that is made for the build.
    `secrets` are contents by id; they are in no key, no record and no layer. Without `renew` an image that is there is
    good enough.
    """

    reference: Reference
    context: str
    file: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    pull: bool = False
    nocache: bool = False
    renew: bool = True
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    platform: Optional[Platform] = None
    etc_hosts: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 0
