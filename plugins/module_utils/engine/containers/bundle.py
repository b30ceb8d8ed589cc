# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's record as an OCI bundle: what the runtime is told (OCI runtime specification, config.md).

What is mounted and what is forbidden have files of their own beside this one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Union

from ...core.errors import BadInput
from ...core.names import hostname_from
from ...core.paths import Paths
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from ...core.units import CPU_PERIOD
from ...runtime.bundle import (
    ANNOTATION_AFTERWARDS,
    ANNOTATION_EXIT,
    ANNOTATION_HEALTH,
    ANNOTATION_LOG,
    ANNOTATION_LOG_FILES,
    ANNOTATION_LOG_SIZE,
    ANNOTATION_RESTART,
    ANNOTATION_SECCOMP,
    ANNOTATION_STATE,
    ANNOTATION_STDIN,
    DEFAULT_PATH,
    STDIN_OPEN,
)
from ...runtime.log import MAX_FILES, MAX_SIZE
from . import confinement, devices, firstborn, healthcheck, users
from .mounts import mounts
from .namespaces import entries
from .record import ContainerRecord, NamedSpec

CGROUP_PARENT = "/mini"
NO_LOG = "none"
UNLIMITED = 2**63 - 1  # bytes of a log that is never rotated
TERM = "xterm"  # what every terminal of today understands, as in Docker


def build(
    paths: Paths, record: ContainerRecord, layer_dirs: Sequence[str], afterwards: Sequence[str] = ()
) -> dict[str, Any]:
    """The whole `config.json`: `layer_dirs` are the image's layers, bottom first, `afterwards` is run at the end."""
    spec = record.spec
    seccomp = confinement.seccomp(spec)
    return {
        "ociVersion": "1.0.2",
        "process": process(spec, record.image_config),
        "root": {"path": "rootfs", "readonly": spec.read_only},
        **({} if spec.uts else {"hostname": hostname(spec), "domainname": spec.domainname}),
        "mounts": mounts(paths, record, layer_dirs),
        "linux": {
            "namespaces": entries(paths, record),
            "cgroupsPath": cgroup_path(record.id, spec.cgroup_parent),
            "devices": devices.nodes(spec, record.userns),
            "resources": resources(spec),
            "sysctl": {**({} if spec.network_mode else confinement.SYSCTLS), **spec.sysctls},
            **users.mappings(record.userns),
            **confinement.hidden(spec),
            "rootfsPropagation": "rprivate",
            **({"seccomp": seccomp} if seccomp else {}),
        },
        "annotations": {
            ANNOTATION_STATE: paths.run_state(record.id),
            ANNOTATION_EXIT: paths.exit(record.id),
            ANNOTATION_LOG: "" if spec.log_driver == NO_LOG else "log",
            ANNOTATION_LOG_SIZE: str(UNLIMITED if spec.log_max_size < 0 else spec.log_max_size or MAX_SIZE),
            ANNOTATION_LOG_FILES: str(spec.log_max_files or MAX_FILES),
            ANNOTATION_RESTART: f"{spec.restart_policy}:{spec.restart_retries}",
            ANNOTATION_AFTERWARDS: json.dumps(list(afterwards)) if afterwards else "",
            ANNOTATION_HEALTH: healthcheck.annotation(spec, record.image_config),
            ANNOTATION_STDIN: STDIN_OPEN if spec.interactive else "",
            ANNOTATION_SECCOMP: paths.seccomp_filter(confinement.digest(seccomp)) if seccomp else "",
        },
    }


def process(spec: ContainerSpec, image: ImageConfig) -> dict[str, Any]:
    """The process: what the task says, else what the image says."""
    return {
        "terminal": spec.tty,
        "user": {"username": spec.user or image.user, "additionalGroups": list(spec.groups), "umask": 0o022},
        "args": [*firstborn.arguments(spec), *arguments(spec, image)],
        "env": [f"{name}={value}" for name, value in environment(spec, image).items()],
        "cwd": spec.working_dir or image.working_dir or "/",
        "capabilities": {name: confinement.capabilities(spec) for name in ("bounding", "effective", "permitted")},
        "rlimits": confinement.rlimits(spec),
        "noNewPrivileges": spec.no_new_privs,
        **({"apparmorProfile": spec.apparmor} if spec.apparmor else {}),
        "oomScoreAdj": spec.oom_score_adj,
    }


def arguments(spec: ContainerSpec, image: ImageConfig) -> list[str]:
    """Entry point and command. An entry point given in the task sets the image's command aside, as in Docker."""
    entrypoint = spec.entrypoint if spec.entrypoint is not None else image.entrypoint
    inherited = image.command if spec.entrypoint is None else None
    command = spec.command if spec.command is not None else inherited
    found = [*(entrypoint or ()), *(command or ())]
    if not found:
        raise BadInput(
            f"nothing to run in {spec.name}: neither the task nor the image names a command", hint="give command"
        )
    return found


def environment(spec: ContainerSpec, image: ImageConfig) -> dict[str, str]:
    """From nothing: the caller's environment is not handed on."""
    terminal = {"TERM": TERM} if spec.tty else {}
    return {"PATH": DEFAULT_PATH, "HOSTNAME": hostname(spec), **terminal, **image.env, **spec.env}


def hostname(spec: Union[ContainerSpec, NamedSpec]) -> str:
    """The name the container has for itself."""
    if spec.uts:
        return os.uname().nodename
    return spec.hostname or hostname_from(spec.name)


def cgroup_path(container_id: str, parent: str = "") -> str:
    """The container's cgroup, from the root of each hierarchy: one for each container, or limits would be shared."""
    return f"{parent or CGROUP_PARENT}/{container_id}"


def resources(spec: ContainerSpec) -> dict[str, Any]:
    """Limits and devices as the specification writes them. With memory alone, swap is as much again, as in Docker."""
    limits = spec.limits
    swap = limits.memory_swap or (2 * limits.memory if limits.memory else 0)
    return {
        "memory": {
            "limit": limits.memory,
            "swap": swap,
            "reservation": limits.memory_reservation,
            "swappiness": limits.memory_swappiness,
            "disableOOMKiller": limits.oom_kill_disable,
        },
        "cpu": {
            "quota": limits.cpu_quota,
            "period": limits.cpu_period or CPU_PERIOD,
            "shares": limits.cpu_shares,
            "cpus": limits.cpuset_cpus,
            "mems": limits.cpuset_mems,
        },
        "pids": {"limit": limits.pids_limit},
        "blockIO": {
            "weight": limits.blkio_weight,
            "throttleReadBpsDevice": devices.throttles(limits.device_read_bps),
            "throttleWriteBpsDevice": devices.throttles(limits.device_write_bps),
            "throttleReadIOPSDevice": devices.throttles(limits.device_read_iops),
            "throttleWriteIOPSDevice": devices.throttles(limits.device_write_iops),
        },
        "devices": devices.rules(spec),
    }
