# SPDX-License-Identifier: GPL-3.0-or-later
"""`init`: a small program that is the container's first process, hands signals on and buries what is orphaned.

It runs in the container's root, so it must be a static one, as those of Docker and Podman are.
"""

from __future__ import annotations

import os

from ...core.specs.container import ContainerSpec

PLACE = "/dev/init"
PROGRAMS = (
    "/usr/bin/tini-static",
    "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/bin/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/libexec/podman/catatonit",
)


def program() -> str:
    """The host's, empty when it has none."""
    return next((path for path in PROGRAMS if os.path.exists(path)), "")


def arguments(spec: ContainerSpec) -> list[str]:
    """What goes before the container's own command."""
    return [PLACE, "--"] if spec.init else []


def lacking(spec: ContainerSpec) -> list[str]:
    """One sentence when the task asks for it and the host has none."""
    missing = spec.init and not program()
    return (
        ["init needs a tini-static, docker-init or catatonit, and the host has none (Debian: tini)"] if missing else []
    )
