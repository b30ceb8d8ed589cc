# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks change on the host as a whole, and what it was before: forwarding, and whose packet filter they use.

A router does not listen to other routers: with IPv6 forwarding on, the kernel ignores their advertisements, and the
host's own default route would run out (Documentation/networking/ip-sysctl.rst, accept_ra). Interfaces that have one by
that way are therefore told to listen nevertheless.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...linux.files import read_text, write_kernel
from ...network import rtnl
from ...network.rtnl import Rtnl
from ..records import load, save

FORWARDING = {4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding"}
MACHINE_ID = "/etc/machine-id"
ACCEPT_RA = "/proc/sys/net/ipv6/conf/{}/accept_ra"
LISTEN, LISTEN_AS_ROUTER = "1", "2"


@dataclass(frozen=True)
class HostChanges:
    """The values before the first network came; `accept_ra` are the interfaces that were told to go on listening.

    `firewall` is the driver that has our rules, and `families` are those that it has rules for.
    """

    ip_forward: str = "1"
    ip6_forward: str = "1"
    accept_ra: tuple[str, ...] = ()
    firewall: str = "iptables"
    families: tuple[int, ...] = (4,)


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 (without it, or with ipv6.disable=1, there are no settings of interfaces)."""
    return os.path.exists(FORWARDING[6])


def identity() -> str:
    """What tells this host from others (machine-id(5)); its name, where it has no such id."""
    return read_text(MACHINE_ID, "") or os.uname().nodename


def forwarding() -> frozenset[int]:
    """The families, 4 and 6, of which the host forwards packets."""
    return frozenset(family for family, path in FORWARDING.items() if read_text(path, "0") == "1")


def allow_forwarding(paths: Paths, family: int) -> None:
    """Turn forwarding on; what it was is remembered first, and once."""
    if family in forwarding():
        return
    if family == 4:
        remember(paths, ip_forward="0")
    else:
        before = remembered(paths)
        listeners = tuple(sorted({*_listeners(), *(before.accept_ra if before else ())}))
        remember(paths, ip6_forward="0", accept_ra=listeners)
        _accept_ra(listeners, LISTEN_AS_ROUTER)
    write_kernel(FORWARDING[family], "1")


def give_back_forwarding(paths: Paths, *, alone: bool) -> None:
    """Put back what was there, unless networks of another state root still need it (`alone` is false then)."""
    before = remembered(paths)
    if before is not None and alone:
        for family, value in ((4, before.ip_forward), (6, before.ip6_forward)):
            if value != "1" and family in forwarding():
                write_kernel(FORWARDING[family], value)
        _accept_ra(before.accept_ra, LISTEN)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.host_changes)


def _listeners() -> set[str]:
    """The interfaces over which routers have told the host of routes."""
    with Rtnl() as host:
        names = {link.index: link.name for link in rtnl.links(host)}
        learned = {names.get(route.index, "") for route in rtnl.routes(host) if route.advertised}
    return {name for name in learned if name and read_text(ACCEPT_RA.format(name), "") == LISTEN}


def _accept_ra(names: Iterable[str], value: str) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # the interface is gone
            write_kernel(ACCEPT_RA.format(name), value)


def remembered(paths: Paths) -> Optional[HostChanges]:
    """What was changed; None when there is nothing, or nothing that can be read."""
    try:
        return load(HostChanges, paths.host_changes)
    except CorruptRecord:
        return None


def remember(paths: Paths, **fields: Any) -> None:
    """Write down what was changed, beside what else is known."""
    before = remembered(paths)
    after = replace(before or HostChanges(firewall=""), **fields)
    if after != before:
        save(after, paths.host_changes)
