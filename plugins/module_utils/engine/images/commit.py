# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a container goes into an image made from it: its configuration, and which paths stay out."""

from __future__ import annotations

import os

from ...core.errors import NotFound
from ...core.paths import Paths
from ...core.specs.image import ImageConfig
from ..containers import healthcheck
from ..containers.record import ContainerRecord, find

KERNEL = ("/proc", "/sys", "/dev")
ENGINE = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


def container(paths: Paths, name: str) -> ContainerRecord:
    """The container's record."""
    record = find(paths, name)
    if record is None:
        raise NotFound(f"there is no container {name!r} to make an image from")
    return record


def config(record: ContainerRecord) -> ImageConfig:
    """What the container runs with, its own options before those of its image."""
    spec, image = record.spec, record.image_config
    # An entry point of the container's own sets the image's command aside.
    inherited = image.command if spec.entrypoint is None else None
    ports = {f"{port.container_port}/{port.protocol}" for port in spec.ports}
    return ImageConfig(
        command=spec.command if spec.command is not None else inherited,
        entrypoint=spec.entrypoint if spec.entrypoint is not None else image.entrypoint,
        env={**image.env, **spec.env},
        working_dir=spec.working_dir or image.working_dir,
        user=spec.user or image.user,
        labels={**image.labels, **spec.labels},
        exposed_ports=tuple(sorted(ports | set(image.exposed_ports))),
        volumes=image.volumes,
        stop_signal=spec.stop_signal or image.stop_signal,
        healthcheck=healthcheck.combined(spec, image),
    )


def left_out(record: ContainerRecord) -> frozenset[bytes]:
    """Paths below the container's root that are not its own: kernel mounts, the engine's files, volumes."""
    targets = (*KERNEL, *ENGINE, *(mount.target for mount in record.all_mounts()), *record.image_config.volumes)
    return frozenset(os.fsencode(os.path.normpath(target).strip("/")) for target in targets)
