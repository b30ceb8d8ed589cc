# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine of containers needs of networks: addresses, namespaces, cables, published ports.

The order of life: `lease` (the container's record must exist by then), `create_netns`, `connect` for each network,
`publish`; and back: `unpublish`, `delete_netns` (which takes the cables along), `release`. Each is idempotent, and
each has an observation that costs next to nothing. `repair_plan` is for a container's task: it puts right what is
wrong with the container's networks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

from ...core.paths import Paths
from ...core.plan import Plan
from ...network import netns, veth
from .foresight import Change, Networks
from .leases import Leased, holders, lease, mac_holder, mac_taken, members, release
from .observe import observe_kernel
from .packetfilter import Sight
from .plan import plan_repair
from .published import evict, publish, published, unpublish
from .record import Binding, NetworkRecord, binding, lan_of, load

__all__ = [
    "Binding",
    "Change",
    "Leased",
    "Networks",
    "Plug",
    "Sight",
    "binding",
    "connect",
    "connected",
    "create_netns",
    "delete_netns",
    "disconnect",
    "evict",
    "holders",
    "is_for_containers",
    "lease",
    "load",
    "mac_holder",
    "mac_taken",
    "members",
    "misplaced",
    "netns_exists",
    "publish",
    "published",
    "release",
    "repair_plan",
    "unpublish",
]

delete_netns = netns.delete
netns_exists = netns.exists


@dataclass(frozen=True)
class Plug:
    """A container's place in a network: its addresses, the interface's number, the metric of its default routes.

    `mac` empty: made from the first address; `interface` empty: named by the number. `sysctls` are settings of the
    interface by their path below /proc/sys/net.
    """

    ips: tuple[str, ...]
    index: int
    metric: int = 0
    mac: str = ""
    interface: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.interface or f"eth{self.index}"


def create_netns(path: str) -> None:
    """Pin a network namespace with a working loopback interface; one that is there is kept."""
    netns.create(path)
    veth.raise_loopback(path)


def repair_plan(paths: Paths, record: NetworkRecord, sight: Optional[Sight] = None) -> Plan:
    """What must be done so that the network is as its record says; run it with the table of `actions.py`."""
    return plan_repair(record, observe_kernel(paths, record, sight or Sight(paths)))


def connect(paths: Paths, record: NetworkRecord, container_id: str, netns_path: str, plug: Plug) -> None:
    """Lay the cable, or put right what is wrong with it."""
    veth.attach(_cable(record, container_id, plug), netns_path)


def connected(paths: Paths, record: NetworkRecord, container_id: str, netns_path: str, plug: Plug) -> bool:
    """Whether the cable is complete."""
    return veth.attached(_cable(record, container_id, plug), netns_path)


def disconnect(paths: Paths, network: str, container_id: str) -> None:
    """Take the cable away; its lease stays."""
    veth.detach(veth.host_name(container_id, network))


def misplaced(record: NetworkRecord, ips: Iterable[str]) -> str:
    """Why these addresses are not all that the network gives to a container; empty when they are."""
    versions = {entry.version for entry in record.spec.ipam_config}
    for ip in ips:
        if not is_for_containers(record, ip):
            return f"{ip} is no address for it there any more"
        versions.discard(6 if ":" in ip else 4)
    return f"the network has IPv{versions.pop()} now" if versions else ""


def is_for_containers(record: NetworkRecord, ip: str) -> bool:
    """Whether the network may give the address to one of them."""
    entry = record.place_of(ip)
    return entry is not None and ip not in (entry.gateway, *entry.aux_addresses.values())


def _cable(record: NetworkRecord, container_id: str, plug: Plug) -> veth.Cable:
    """Every network but an internal one gives default routes."""
    spec = record.spec
    own = [record.subnet_of(ip) for ip in plug.ips]
    families = {entry.version for entry in own}
    return veth.Cable(
        host=veth.host_name(container_id, record.name),
        inside=plug.name,
        bridge=record.bridge,
        addresses=tuple(record.with_prefix(ip) for ip in plug.ips),
        gateways=() if spec.internal else tuple(entry.gateway for entry in own),
        neighbours=tuple(entry.subnet for entry in spec.ipam_config if entry.version in families and entry not in own),
        metric=plug.metric,
        mtu=spec.mtu,
        mac=plug.mac,
        sysctls=plug.sysctls,
        isolated=not lan_of(record.bridge, spec).icc,
        beyond=tuple((spec.whole(entry), entry.gateway) for entry in own) if spec.vxlan else (),
    )
