# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume's options and their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.names import check_name
from ..core.specs import VolumeSpec
from .options import table


def volume_spec(params: Mapping[str, Any]) -> VolumeSpec:
    """What the task asks for; options that are left out have their empty value."""
    return VolumeSpec(
        name=check_name("volume", params["name"]),
        driver=params["driver"],
        labels=table("labels", params["labels"] or {}),
    )


def given(params: Mapping[str, Any]) -> frozenset[str]:
    """The fields of the specification that the task mentions."""
    return frozenset({"labels"} if params["labels"] is not None else ())
