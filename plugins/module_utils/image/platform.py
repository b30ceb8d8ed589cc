# SPDX-License-Identifier: GPL-3.0-or-later
"""Platforms of images, `os/architecture[/variant]`, in the one spelling that Go's tools give them."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ..core.errors import BadInput

_PART = r"[a-z0-9][a-z0-9_.-]*\Z"  # compiled when there is one
# The names that machines and people give to architectures, and the variant that goes with a name.
_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
}
# The variant that goes without saying.
_USUAL = {("arm64", "v8"), ("amd64", "v1")}


class Platform(NamedTuple):
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    @classmethod
    def of(cls, system: str, architecture: str, variant: str = "") -> Platform:
        """The canonical form."""
        name, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant or implied
        return cls(system, name, "" if (name, variant) in _USUAL else variant)


def parse(text: str) -> Platform:
    """`linux/arm64/v8`, or only an architecture."""
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(re.match(_PART, part) for part in parts):
        raise BadInput(f"platform: {text!r} is not a platform", hint="write it as linux/amd64 or linux/arm/v7")
    return Platform.of("linux", parts[0]) if len(parts) == 1 else Platform.of(*parts)


def host() -> Platform:
    """The one that this host is."""
    return Platform.of("linux", os.uname().machine)


def rank(offered: Platform, wanted: Platform) -> int | None:
    """How well an image serves, 0 being best; None when it does not.

    A variant runs what was made for an earlier one: on arm/v7 that is v6, on amd64/v3 v2, and what names none.
    """
    if offered[:2] != wanted[:2]:
        return None
    has, wants = _number(offered), _number(wanted)
    return wants - has if has <= wants else None


def _number(platform: Platform) -> int:
    digits = platform.variant.lstrip("v")
    return int(digits) if digits.isdecimal() and len(digits) < 4 else 0
