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

from ...core.paths import Paths
from ...network import hosts as text
from ..networks import attach
from .bundle import hostname
from .mounts import MANAGED_FILES
from .neighbours import Neighbour, Neighbours, neighbour
from .record import ContainerRecord, find
from .sharing import HOST, joined

HOST_GATEWAY = "host-gateway"


def content(paths: Paths, record: ContainerRecord, known: Neighbours) -> dict[str, str]:
    """The files' wanted content."""
    return {
        "hosts": hosts_file(record, known),
        "hostname": hostname(record.spec) + "\n",
        "resolv.conf": _resolv_conf(paths, record),
    }


def hosts_file(record: ContainerRecord, known: Neighbours) -> str:
    """The wanted content of that one, which every container that comes or goes changes."""
    it = neighbour(record)
    if record.spec.network_mode == HOST:
        return text.hosts_file_of_host(_more(it, known))
    return _hosts_file(record.id, it, known)


def _hosts_file(container_id: str, it: Neighbour, known: Neighbours) -> str:
    more = [*known.linked(it.links), *_more(it, known)]
    return text.hosts_file(it.own, known.lines(it.shown, but=container_id), more)


def _resolv_conf(paths: Paths, record: ContainerRecord) -> str:
    """The host's resolvers, unless the task names some; a loopback one only where the container has that loopback, and
    none where it is to reach nothing outside: an answer would be a way out."""
    spec = record.spec
    if spec.dns_servers or spec.dns_search_domains or spec.dns_opts:
        made = text.resolv_conf_of(spec.dns_servers, spec.dns_search_domains, spec.dns_opts)
    else:
        made = text.resolv_conf(own_loopback=spec.network_mode == HOST)
    return made if spec.dns_servers or not _shut_in(paths, record) else text.without_servers(made)


def _shut_in(paths: Paths, record: ContainerRecord) -> bool:
    """Whether it is in internal networks alone."""
    return bool(record.networks) and all(attach.load(paths, name).spec.internal for name in record.networks)


def _more(it: Neighbour, known: Neighbours) -> list[text.Names]:
    """`etc_hosts`; `host-gateway` are the gateways of the first network."""
    gateways = _gateways(it, known) if HOST_GATEWAY in it.more.values() else []
    return [
        (ip, [name]) for name, address in it.more.items() for ip in (gateways if address == HOST_GATEWAY else [address])
    ]


def _gateways(it: Neighbour, known: Neighbours) -> list[str]:
    """One of each family; none while the network has changed, and the container has not got its new addresses."""
    for network, ips in it.shown.items():
        record = known.networks.load(network)
        places = [record.place_of(ip) for ip, _names in ips]
        return [place.gateway for place in places if place]
    return ["127.0.0.1", "::1"]


def write(paths: Paths, record: ContainerRecord, known: Optional[Neighbours] = None) -> None:
    """Bring the container's files up to date. Who shares another's network has the very files of the other."""
    other = joined(record.spec).get("net")
    if other:
        _share(paths, record, find(paths, other))
        return
    for name, wanted in content(paths, record, known or Neighbours(paths)).items():
        _write_in_place(paths.container(record.id, name), wanted, os.O_CREAT)


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


def stale(paths: Paths, record: ContainerRecord, known: Optional[Neighbours] = None) -> list[str]:
    """The files that are not as wanted. Only `hosts` is ours for good: a container may write the others."""
    if joined(record.spec).get("net"):
        return []
    wanted = hosts_file(record, known or Neighbours(paths)).encode()
    return [] if _beginning(paths.container(record.id, "hosts"), len(wanted) + 1) == wanted else ["hosts"]


def _beginning(path: str, size: int) -> bytes:
    """No more of it than we need: the container may have made the file as large as it likes."""
    try:
        with open(path, "rb") as handle:
            return handle.read(size)
    except FileNotFoundError:
        return b""


def tell_peers(paths: Paths, networks: Iterable[str], but: str = "", known: Optional[Neighbours] = None) -> None:
    """Rewrite the hosts files of all containers in these networks: one came, moved or went."""
    known = known or Neighbours(paths)
    told = {but}
    for network in networks:
        for container_id, it in known.of(network).items():
            if container_id not in told:
                told.add(container_id)
                # One without a file has not been started yet, or is being removed.
                with contextlib.suppress(FileNotFoundError):
                    wanted = _hosts_file(container_id, it, known)
                    _write_in_place(paths.container(container_id, "hosts"), wanted)


def _write_in_place(path: str, wanted: str, flags: int = 0) -> None:
    """One write to the same inode, so that a reader sees the old text or the new one."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o644)
    try:
        if flags & os.O_CREAT:
            os.fchmod(fd, 0o644)
        raw = wanted.encode()
        os.pwrite(fd, raw, 0)
        os.ftruncate(fd, len(raw))
    finally:
        os.close(fd)
