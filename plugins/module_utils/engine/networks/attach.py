# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine of containers needs of networks: addresses, namespaces, cables, published ports.

The order of life: `lease` (the container's record must exist by then), `create_netns`, `connect` for each network,
`publish`; and back: `unpublish`, `delete_netns` (which takes the cables along), `release`. Each is idempotent, and
each has an observation that costs next to nothing. `repair_plan` is for a container's task: it puts right what is
wrong with the container's networks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from ...core.paths import Paths
from ...core.plan import Plan
from ...network import netns, veth
from ...network.firewall.changes import Present
from .leases import holders, lease, members, release
from .observe import observe_kernel
from .plan import plan_repair
from .published import publish, published, rules_present, unpublish
from .record import NetworkRecord, load

__all__ = [
    "Plug",
    "Present",
    "connect",
    "connected",
    "create_netns",
    "delete_netns",
    "disconnect",
    "holders",
    "lease",
    "load",
    "members",
    "netns_exists",
    "publish",
    "published",
    "release",
    "repair_plan",
    "rules_present",
    "unpublish",
]

delete_netns = netns.delete
netns_exists = netns.exists


@dataclass(frozen=True)
class Plug:
    """A container's place in a network: its address, the interface's number, the metric of its default route.

    `mac` empty: made from the address; `interface` empty: named by the number.
    """

    ip: str
    index: int
    metric: int = 0
    mac: str = ""
    interface: str = ""


def create_netns(path: str) -> None:
    """Pin a network namespace with a working loopback interface; one that is there is kept."""
    netns.create(path)
    veth.raise_loopback(path)


def repair_plan(paths: Paths, names: Iterable[str], present: Optional[Present] = None) -> Plan:
    """What must be done so that these networks are as their records say; run it with the table of `actions.py`."""
    rules = rules_present() if present is None else present
    plan = Plan()
    for name in names:
        record = load(paths, name)
        plan += plan_repair(record, observe_kernel(paths, record, rules))
    return plan


def connect(paths: Paths, record: NetworkRecord, container_id: str, netns_path: str, plug: Plug) -> None:
    """Lay the cable, or put right what is wrong with it."""
    veth.attach(_cable(record, container_id, plug), netns_path)


def connected(paths: Paths, record: NetworkRecord, container_id: str, netns_path: str, plug: Plug) -> bool:
    """Whether the cable is complete."""
    return veth.attached(_cable(record, container_id, plug), netns_path)


def disconnect(paths: Paths, network: str, container_id: str) -> None:
    """Take the cable away; its lease stays."""
    veth.detach(veth.host_name(container_id, network))


def _cable(record: NetworkRecord, container_id: str, plug: Plug) -> veth.Cable:
    """Every network but an internal one gives a default route."""
    spec, entry = record.spec, record.spec.of_family(4)[0]
    return veth.Cable(
        host=veth.host_name(container_id, record.name),
        inside=plug.interface or f"eth{plug.index}",
        bridge=record.bridge,
        ip=plug.ip,
        subnet=entry.subnet,
        gateway="" if spec.internal else entry.gateway,
        metric=plug.metric,
        mtu=spec.mtu,
        mac=plug.mac,
    )
