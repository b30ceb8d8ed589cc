# SPDX-License-Identifier: GPL-3.0-or-later
"""Which namespaces a container has for itself, which are the host's and which another container's. Pure."""

from __future__ import annotations

from ...core.plan import Step
from ...core.specs.container import ContainerSpec

HOST, PRIVATE, NONE, SHAREABLE = "host", "private", "none", "shareable"
CONTAINER = "container:"
# The field, and what the kernel calls the namespace below /proc/PID/ns.
KINDS = {"network_mode": "net", "pid_mode": "pid", "ipc_mode": "ipc"}


def joined(spec: ContainerSpec) -> dict[str, str]:
    """The namespaces of other containers: kind → the container's name, as the task has it."""
    found = {kind: getattr(spec, field) for field, kind in KINDS.items()}
    return {kind: mode[len(CONTAINER) :] for kind, mode in found.items() if mode.startswith(CONTAINER)}


def steps(spec: ContainerSpec) -> list[Step]:
    """What has to be there before the first process can enter it."""
    name, others = spec.name, joined(spec)
    found = []
    if others:
        detail = ", ".join(f"{kind} of {other}" for kind, other in others.items())
        found.append(Step("join-namespaces", name, detail))
    if spec.userns_mode == PRIVATE:
        found.append(Step("make-userns", name))
    if spec.ipc_mode == SHAREABLE:
        found.append(Step("make-shm", name, "other containers may share it"))
    if not spec.network_mode:
        found.append(Step("make-netns", name))
    return found
