# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume's options and their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.volume import VolumeSpec
from .options import table


def volume_spec(params: Mapping[str, Any]) -> VolumeSpec:
    """What the task asks for; options that are left out have their empty value."""
    refuse_options("driver_options", params["driver_options"])
    return VolumeSpec(
        name=check_name("volume", params["name"]),
        driver=params["driver"],
        labels=table("labels", params["labels"] or {}),
    )


def refuse_options(what: str, options: Mapping[str, Any] | None) -> None:
    """Docker's local driver takes `type`, `device` and `o` for a file system that it mounts for the first container and
    unmounts after the last. Nothing of ours runs all the time that would do that, and know it after a power cut.
    """
    if not options:
        return
    kind, device = options.get("type") or "", options.get("device") or "the directory"
    if kind == "tmpfs":
        hint = "give the container a mount of the type tmpfs"
    elif "bind" in str(options.get("o") or "").split(",") or kind in ("none", "bind"):
        hint = f"bind {device} itself, by volumes or by a mount of the type bind"
    else:
        hint = f"mount {device} on the host (ansible.posix.mount), and bind the directory that it is mounted on"
    raise BadInput(f"{what}: a volume is a directory, which has no options", hint=hint)


def given(params: Mapping[str, Any]) -> frozenset[str]:
    """The fields of the specification that the task mentions."""
    return frozenset({"labels"} if params["labels"] is not None else ())
