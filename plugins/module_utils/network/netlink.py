# SPDX-License-Identifier: GPL-3.0-or-later
"""Links through pyroute2: the only file that imports it, and only when a bridge must be made or put right.

Importing pyroute2 takes longer than starting a container, so nothing on the way of a container, and nothing on the way
of a task that changes nothing, comes here; those few messages are in `rtnl.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ..core.errors import HostLacks, StepFailed


@contextlib.contextmanager
def _iproute(what: str) -> Iterator[Any]:
    """A pyroute2 IPRoute; its errors become `StepFailed` saying what was tried."""
    try:
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError
    except ImportError as exc:
        raise HostLacks(
            f"cannot {what}: the Python library pyroute2 is missing on this host",
            hint="install the package python3-pyroute2, or apply the role mini_host",
        ) from exc
    try:
        with IPRoute() as ipr:
            yield ipr
    except NetlinkError as exc:
        raise StepFailed(f"cannot {what}: {exc.args[1]}", errno=exc.code) from exc


def create_bridge(name: str, mac: str, alias: str, mtu: int) -> None:
    """A bridge, down. Its MAC address is given, or it would change with every port that comes and goes."""
    with _iproute(f"create the bridge {name}") as ipr:
        size = {"mtu": mtu} if mtu else {}
        ipr.link("add", ifname=name, kind="bridge", address=mac, br_stp_state=0, br_forward_delay=0, **size)
        ipr.link("set", index=_index(ipr, name), ifalias=alias)


def configure_bridge(name: str, alias: str, mtu: int) -> None:
    """Put right what can differ on a bridge that exists."""
    with _iproute(f"configure the bridge {name}") as ipr:
        size = {"mtu": mtu} if mtu else {}
        ipr.link("set", index=_index(ipr, name), ifalias=alias, **size)


def _index(ipr: Any, name: str) -> int:
    found = ipr.link_lookup(ifname=name)
    if not found:
        raise StepFailed(f"the interface {name} vanished while it was set up")
    return int(found[0])
