# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's /etc/hosts, /etc/hostname and /etc/resolv.conf.

Containers find each other by name through their hosts files: no resolver process that could stop or answer stale
records. The files are bind mounted into the container, so they are rewritten in place: a renamed one would leave the
container with the old inode.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Optional

from ...core.errors import MiniError
from ...core.paths import Paths
from ...network import hosts as text
from ..networks import attach
from .bundle import hostname
from .mounts import MANAGED_FILES
from .record import ContainerRecord, every, find
from .sharing import HOST, joined

Members = dict[str, list[ContainerRecord]]
"""The containers of each network, read once for all whose files are written."""


def content(paths: Paths, record: ContainerRecord, known: Optional[Members] = None) -> dict[str, str]:
    """The files' wanted content."""
    return {
        "hosts": hosts_file(paths, record, known),
        "hostname": hostname(record.spec) + "\n",
        "resolv.conf": _resolv_conf(record),
    }


def hosts_file(paths: Paths, record: ContainerRecord, known: Optional[Members] = None) -> str:
    """The wanted content of that one, which every container that comes or goes changes."""
    if record.spec.network_mode == HOST:
        return text.hosts_file_of_host(_extra(paths, record))
    own = [(endpoint.ipv4, [hostname(record.spec), record.name]) for _network, endpoint in record.endpoints()]
    return text.hosts_file(own, [*peers(paths, record, known), *_extra(paths, record)])


def _resolv_conf(record: ContainerRecord) -> str:
    """The host's resolvers, unless the task names some; a loopback one only where the container has that loopback."""
    spec = record.spec
    if not (spec.dns_servers or spec.dns_search_domains or spec.dns_opts):
        return text.resolv_conf(own_loopback=spec.network_mode == HOST)
    return text.resolv_conf_of(spec.dns_servers, spec.dns_search_domains, spec.dns_opts)


def _extra(paths: Paths, record: ContainerRecord) -> list[tuple[str, list[str]]]:
    """`etc_hosts`; `host-gateway` is the gateway of the first network."""
    given = record.spec.etc_hosts
    gateway = _gateway(paths, record) if "host-gateway" in given.values() else ""
    return [(gateway if address == "host-gateway" else address, [name]) for name, address in given.items()]


def _gateway(paths: Paths, record: ContainerRecord) -> str:
    for network, _endpoint in record.endpoints()[:1]:
        return attach.load(paths, network).spec.gateway
    return "127.0.0.1"


def peers(paths: Paths, record: ContainerRecord, known: Optional[Members] = None) -> list[tuple[str, list[str]]]:
    """Address and names of every other container in the same networks."""
    known = {} if known is None else known
    found = []
    for network, _endpoint in record.endpoints():
        for other in _members(paths, network, known):
            if other.id != record.id:
                aliases = [name for entry in other.spec.networks if entry.name == network for name in entry.aliases]
                found.append((other.networks[network].ipv4, [other.name, *aliases]))
    return sorted(found)


def _members(paths: Paths, network: str, known: Members) -> list[ContainerRecord]:
    if network not in known:
        try:
            ids = set(attach.members(paths, network))
        except MiniError:
            ids = set()
        known[network] = [other for other in every(paths, ids) if network in other.networks]
    return known[network]


def write(paths: Paths, record: ContainerRecord, known: Optional[Members] = None) -> None:
    """Bring the container's files up to date. Who shares another's network has the very files of the other."""
    other = joined(record.spec).get("net")
    if other:
        _share(paths, record, find(paths, other))
        return
    for name, wanted in content(paths, record, known).items():
        _write_in_place(paths.container(record.id, name), wanted)


def _share(paths: Paths, record: ContainerRecord, other: Optional[ContainerRecord]) -> None:
    """A second name for each file: it goes on when the other container is removed, and is written with the other's."""
    if other is None:
        return
    for name in MANAGED_FILES:
        source, target = paths.container(other.id, name), paths.container(record.id, name)
        if not (os.path.exists(target) and os.path.samefile(source, target)):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{target}.tmp")
            os.link(source, f"{target}.tmp")
            os.replace(f"{target}.tmp", target)


def stale(paths: Paths, record: ContainerRecord) -> list[str]:
    """The files that are not as wanted. Only `hosts` is ours for good: a container may write the others."""
    if joined(record.spec).get("net"):
        return []
    wanted = hosts_file(paths, record).encode()
    return [] if _beginning(paths.container(record.id, "hosts"), len(wanted) + 1) == wanted else ["hosts"]


def _beginning(path: str, size: int) -> bytes:
    """No more of it than we need: the container may have made the file as large as it likes."""
    try:
        with open(path, "rb") as handle:
            return handle.read(size)
    except FileNotFoundError:
        return b""


def tell_peers(paths: Paths, networks: Iterable[str], but: str = "", known: Optional[Members] = None) -> None:
    """Rewrite the hosts files of all containers in these networks: one came, moved or went."""
    told = {but}
    known = {} if known is None else known
    for network in networks:
        for other in _members(paths, network, known):
            if other.id not in told and os.path.exists(paths.container(other.id, "hosts")):
                _write_in_place(paths.container(other.id, "hosts"), hosts_file(paths, other, known))
                told.add(other.id)


def _write_in_place(path: str, wanted: str) -> None:
    """One write to the same inode, so that a reader sees the old text or the new one."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.fchmod(fd, 0o644)
        raw = wanted.encode()
        os.pwrite(fd, raw, 0)
        os.ftruncate(fd, len(raw))
    finally:
        os.close(fd)
