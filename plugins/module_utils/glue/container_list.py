# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_containers`: a list of containers, what they have in common, and who is to go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import BadInput, MiniError
from ..core.paths import Paths
from ..core.specs.container import ContainerSpec
from ..core.specs.network import PublishedPort
from ..engine.containers.publishing import bound, of_host
from ..engine.containers.record import every
from ..engine.networks.attach import Networks, binding
from ..network.ports import overlapping
from .container_options import CONTAINER_OPTIONS, DEFAULTS
from .containers import Task

# What of the common options says how a container is removed.
_OF_REMOVAL = ("keep_volumes", "force_kill", "kill_signal")


def tasks_of(params: Mapping[str, Any]) -> list[Task]:
    """One task for each entry, in their order."""
    common = params["defaults"] or {}
    tasks = [_read(merged(common, entry)) for entry in params["containers"]]
    names = [task.name for task in tasks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"containers: {twice} is named twice", hint="name each container once")
    for task in tasks:
        if params["purge_label"] and task.wish.state != "absent" and not _carries(task, params["purge_label"]):
            raise BadInput(
                f"purge_label: {task.name} does not carry the label {params['purge_label']}, and would stay when the"
                " list has it no more",
                hint="put the label into the labels of defaults",
            )
    return tasks


def refuse_shared_ports(paths: Paths, tasks: Sequence[Task]) -> None:
    """Of two that run, one alone can have a port of the host. In networks that are routed nobody takes any."""
    networks = Networks(paths)
    owners: dict[PublishedPort, str] = {}
    for task in (task for task in tasks if task.wish.runs):
        ports = _of_host(networks, task.wish.spec)
        clash = overlapping(ports, owners)
        if clash:
            other = owners[clash[1]]
            raise BadInput(
                f"containers: {other} and {task.name} both publish {clash[0].show()}", hint="publish another port"
            )
        owners.update(dict.fromkeys(ports, task.name))


def _of_host(networks: Networks, spec: ContainerSpec) -> tuple[PublishedPort, ...]:
    known = networks.known(entry.name for entry in spec.networks)
    return of_host(bound(spec, {name: binding(networks.load(name)) for name in known}), spec.ports)


def merged(common: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a task for the entry alone. Of a dictionary, the entry's keys go before those in common."""
    found = dict(DEFAULTS)
    for given in (common, entry):
        for name, value in given.items():
            if value is not None and name in CONTAINER_OPTIONS:
                found[name] = _over(found[name], value) if given is entry else value
    return found


def _over(common: Any, own: Any) -> Any:
    if not (isinstance(common, dict) and isinstance(own, dict)):
        return own
    return {**common, **{key: value for key, value in own.items() if value is not None}}


def _read(params: Mapping[str, Any]) -> Task:
    try:
        return Task.read(params)
    except MiniError as exc:
        exc.message = f"{params['name']}: {exc.message}"
        raise


def _carries(task: Task, label: str) -> bool:
    return _has(task.wish.spec.labels, label)


def _has(labels: Mapping[str, str], label: str) -> bool:
    """`key`, or `key=value`."""
    key, equals, value = label.partition("=")
    return key in labels and (not equals or labels[key] == value)


def others(paths: Paths, params: Mapping[str, Any], tasks: Sequence[Task]) -> Iterator[Task]:
    """The removal of each container that carries the label and is not in the list."""
    if not params["purge_label"]:
        return
    named = {task.name for task in tasks}
    how = {name: (params["defaults"] or {}).get(name) for name in _OF_REMOVAL}
    for record in every(paths):
        if record.name not in named and _has(record.spec.labels, params["purge_label"]):
            named.add(record.name)
            yield _read(merged(how, {"name": record.name, "state": "absent"}))
