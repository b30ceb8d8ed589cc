# SPDX-License-Identifier: GPL-3.0-or-later
"""Wishes that contradict themselves: options that could have no effect, or one on the host itself. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ...core.errors import BadInput
from ...core.specs.container import ContainerSpec
from .mounts import SHARED

HOST, PRIVATE, NONE = "host", "private", "none"
CONTAINER = "container:"
# What the option is called in a task, where the field has another name.
_OPTION = {"ports": "published_ports"}
_PORTS = ("ports", "publish_all_ports")
_NAMES = ("hostname", "domainname")
_FILES = ("dns_servers", "dns_search_domains", "dns_opts", "etc_hosts")
_SYSCTLS = (("net.", "network_mode"), ("kernel.", "ipc_mode"), ("fs.mqueue.", "ipc_mode"))


def refuse(spec: ContainerSpec, given: Collection[str]) -> None:
    """`BadInput` names two options that exclude each other. `given` are the fields that the task sets."""
    _network(spec, given)
    if spec.uts == HOST:
        _without(spec, _NAMES, "uts host")
    if spec.ipc_mode == NONE or shared(spec.ipc_mode):
        _without(spec, ("shm_size",), f"ipc_mode {spec.ipc_mode}")
    if spec.auto_remove and spec.restart_policy != "no":
        _exclude("auto_remove: a container that is started again is not removed", "restart_policy", spec.restart_policy)
    if spec.userns_mode == PRIVATE:
        _own_users(spec)
    for name in spec.sysctls:
        for prefix, option in _SYSCTLS:
            if name.startswith(prefix) and shared(getattr(spec, option)):
                _exclude(f"sysctls: {name} is not the container's own", option, getattr(spec, option))


def shared(mode: str) -> bool:
    """Whether a namespace belongs to the host or to another container."""
    return mode == HOST or mode.startswith(CONTAINER)


def _network(spec: ContainerSpec, given: Collection[str]) -> None:
    if spec.network_mode:
        _without(spec, (*_PORTS, "networks"), f"network_mode {spec.network_mode}")
        if spec.network_mode != HOST:
            _without(spec, _FILES, f"network_mode {spec.network_mode}")
    elif not spec.networks and any(name in given and getattr(spec, name) for name in _PORTS):
        raise BadInput(f"{spec.name} publishes ports but is in no network", hint="name one in networks")


def _own_users(spec: ContainerSpec) -> None:
    fields = ("network_mode", "pid_mode", "ipc_mode", "uts", "cgroupns_mode")
    host = next((name for name in fields if getattr(spec, name) == HOST), None)
    if host:
        _exclude("userns_mode: private cannot be combined with a namespace of the host", host, HOST)
    if any(mount.propagation in SHARED for mount in spec.mounts):
        _exclude("userns_mode: private cannot be combined with a mount that is shared", "propagation", "rshared")
    if spec.privileged:
        _exclude("userns_mode: private cannot be combined with all privileges", "privileged", "true")


def _without(spec: ContainerSpec, fields: Iterable[str], mode: str) -> None:
    found = next((name for name in fields if getattr(spec, name)), None)
    if found:
        raise BadInput(
            f"{_OPTION.get(found, found)} has no effect on {spec.name} with {mode}", hint="give one of the two"
        )


def _exclude(what: str, option: str, mode: str) -> None:
    raise BadInput(f"{what} ({option}: {mode})", hint="give one of the two")
