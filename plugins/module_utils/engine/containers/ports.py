# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may publish which port of the host: claims, so that two containers never share one.

A claim is a file below /run, `port/tcp.8080/<address or any>`, that names the container and the process that made it.
It counts only while that container runs, or while that process is still about to start it: nothing leaks when either
is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...core.errors import Conflict
from ...core.paths import Paths
from ...core.specs.network import PublishedPort
from ...linux.files import locked, make_private_dir, read_text, write_atomic
from ...linux.process import identify
from ...network.listeners import check_free
from ...network.ports import meet, overlapping
from ...runtime import state
from ..networks import attach
from ..records import names_in
from .living import live_process, restarting

_ANY = "any"
# IANA's dynamic ports, RFC 6335: nothing is assigned there.
ANY_PORT = range(49152, 65536)


def claim(
    paths: Paths,
    container_id: str,
    ports: Iterable[PublishedPort],
    before: Mapping[str, int],
    versions: Collection[int] = (4,),
) -> dict[str, int]:
    """Claim every port for the container; `Conflict` names who has one, a container or a process of the host.

    Returned are the host's ports of those that are to be chosen, by what they are called; `before` are those that the
    container had last. `versions` are the families that its networks have.
    """
    with locked(paths.lock("ports", "all"), "the table of published ports"):
        wanted = list(ports)
        fixed = [port for port in wanted if not port.chosen]
        for port in fixed:
            _refuse_taken(paths, container_id, port)
        check_free(fixed, versions)
        for port in fixed:
            _write(paths, container_id, port)
        chosen = {}
        given = list(fixed)
        for port in wanted:
            if port.chosen:
                given.append(_choose(paths, container_id, port, before.get(port.key, 0), given, versions))
                chosen[port.key] = given[-1].host_port
        return chosen


def _choose(
    paths: Paths,
    container_id: str,
    port: PublishedPort,
    known: int,
    given: Iterable[PublishedPort],
    versions: Collection[int],
) -> PublishedPort:
    """A port of the host that nobody has: the one it was before, else the first of those allowed."""
    allowed = range(port.host_port, port.host_last + 1) if port.host_last else ANY_PORT
    for number in [*([known] if known in allowed else []), *allowed]:
        candidate = replace(port, host_port=number, host_last=0)
        if overlapping([candidate], given):
            continue
        with contextlib.suppress(Conflict):
            _refuse_taken(paths, container_id, candidate)
            check_free([candidate], versions)
            _write(paths, container_id, candidate)
            return candidate
    raise Conflict(
        f"cannot publish {port.show()}: every port of the host between {allowed[0]} and {allowed[-1]} is in use",
        hint="stop something, or publish a wider range",
    )


def release(paths: Paths, container_id: str, ports: Iterable[PublishedPort]) -> None:
    """Give up the container's claims on these ports."""
    with locked(paths.lock("ports", "all"), "the table of published ports"):
        for port in ports:
            if _read(_file(paths, port)).get("container") == container_id:
                os.unlink(_file(paths, port))
            _tidy(_directory(paths, port))


def _tidy(directory: str) -> None:
    """Remove what a killed process was about to write, and the directory of a port that nobody claims."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.endswith(".tmp"):
                os.unlink(os.path.join(directory, name))
    with contextlib.suppress(OSError):
        os.rmdir(directory)


def _directory(paths: Paths, port: PublishedPort) -> str:
    return os.path.join(paths.ports, f"{port.protocol}.{port.host_port}")


def _file(paths: Paths, port: PublishedPort) -> str:
    return os.path.join(_directory(paths, port), port.host_ip or _ANY)


def _write(paths: Paths, container_id: str, port: PublishedPort) -> None:
    path = _file(paths, port)
    make_private_dir(os.path.dirname(path))
    me = identify(os.getpid())
    claim = {"container": container_id, "by": me._asdict() if me else None}
    write_atomic(path, json.dumps(claim).encode(), durable=False)


def _refuse_taken(paths: Paths, container_id: str, port: PublishedPort) -> None:
    """A port on every address clashes with the same port on any one address.

    Whoever had it and runs no more loses all that he published: his rules would come before those of the new owner.
    """
    for name in names_in(_directory(paths, port)):
        if not meet(port.host_ip, "" if name == _ANY else name):
            continue
        path = os.path.join(_directory(paths, port), name)
        found = _read(path)
        owner = found.get("container", "")
        if owner != container_id and _counts(paths, owner, found):
            raise Conflict(
                f"cannot publish {port.host_port}/{port.protocol}: container {_name(paths, owner)} has it",
                hint="publish another port, or stop that container",
            )
        if owner != container_id:
            attach.evict(paths, owner)
            os.unlink(path)


def _counts(paths: Paths, owner: str, found: dict[str, Any]) -> bool:
    run = state.read(paths.run_state(owner))
    if live_process(run) or restarting(run):
        return True
    claimer = state.process(found, "by")
    return claimer is not None and os.path.exists(paths.container_record(owner)) and claimer.alive()


def _read(path: str) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(paths: Paths, container_id: str) -> str:
    try:
        return repr(json.loads(read_text(paths.container_record(container_id)))["name"])
    except (OSError, ValueError, KeyError):
        return container_id[:12]
