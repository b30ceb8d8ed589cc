# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a network between tasks, and how it is told to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Optional

from ...core.errors import Conflict, CorruptRecord, NotFound
from ...core.names import check_name, interface_name
from ...core.paths import DEFAULT_STATE_ROOT, Paths
from ...core.specs.network import NetworkSpec, Subnet, Vxlan
from ...network.firewall.rules import Lan, Tunnel
from ...network.leases import place_of
from ..records import load as load_record
from ..records import names_in
from .overlay import device_name

BRIDGE = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
GATEWAY_MODES = {family: f"com.docker.network.bridge.gateway_mode_ipv{family}" for family in (4, 6)}
NAT, UNPROTECTED, ROUTED, ISOLATED = "nat", "nat-unprotected", "routed", "isolated"


@dataclass(frozen=True)
class NetworkRecord:
    """A network: `spec` has its subnets and gateways filled in."""

    id: str
    spec: NetworkSpec
    bridge: str
    created: str

    @property
    def name(self) -> str:
        return self.spec.name

    def place_of(self, ip: str) -> Optional[Subnet]:
        """The subnet that an address is of; None when it is of none."""
        return place_of(self.spec.ipam_config, ip)

    def subnet_of(self, ip: str) -> Subnet:
        """The same, of an address that must be of one."""
        found = self.place_of(ip)
        if found is None:
            raise Conflict(f"the network {self.name} has no subnet for {ip}", hint="run the container's task again")
        return found

    def with_prefix(self, ip: str) -> str:
        """An address with its prefix length; alone where the network does not have the subnet any more."""
        place = self.place_of(ip)
        return ip + "/" + place.subnet.partition("/")[2] if place else ip


def find(paths: Paths, name: str) -> Optional[NetworkRecord]:
    """The record of a network, or None."""
    return load_record(NetworkRecord, paths.network_record(check_name("network", name)))


def load(paths: Paths, name: str) -> NetworkRecord:
    """The record of a network that must exist."""
    record = find(paths, name)
    if record is None:
        raise NotFound(f"the network {name!r} does not exist", hint="create it with mini_network first")
    return record


def every(paths: Paths) -> Iterator[NetworkRecord]:
    """All readable records."""
    for name in names_in(paths.networks):
        try:
            record = load_record(NetworkRecord, paths.network_record(name))
        except CorruptRecord:
            continue
        if record is not None:
            yield record


def bridge_name(paths: Paths, name: str) -> str:
    """The interface name of a network's bridge; two state roots on one host do not meet."""
    return interface_name("mini-", name if paths.state_root == DEFAULT_STATE_ROOT else f"{paths.state_root}:{name}")


def bridge_alias(paths: Paths, name: str) -> str:
    """The mark that says whose the bridge is (IFALIASZ is 256)."""
    root = "" if paths.state_root == DEFAULT_STATE_ROOT else f"@{paths.state_root}"
    return f"mini:{name}{root}"[:255]


def lan_of(bridge: str, spec: NetworkSpec) -> Lan:
    """The network as the packet filter sees it."""
    return Lan(
        bridge,
        spec.subnets,
        internal=spec.internal,
        isolate=spec.isolate,
        icc=spec.driver_options.get(ICC, "true") != "false",
        masquerade=spec.driver_options.get(MASQUERADE, "true") != "false",
        overlay=device_name(bridge) if spec.vxlan else "",
        unprotected=with_mode(spec, UNPROTECTED),
        routed=with_mode(spec, ROUTED),
        tunnel=_tunnel(spec.vxlan) if spec.vxlan else None,
    )


def with_mode(spec: NetworkSpec, mode: str) -> tuple[int, ...]:
    """The families that have this gateway mode."""
    return tuple(family for family, option in GATEWAY_MODES.items() if spec.driver_options.get(option) == mode)


def _tunnel(vxlan: Vxlan) -> Tunnel:
    peers = sorted(address for host, address in vxlan.hosts.items() if host != vxlan.host)
    return Tunnel(vxlan.vni, vxlan.port, vxlan.address, tuple(peers))


class Binding(NamedTuple):
    """What a network says of published ports: the address of the host for those that name none, empty for all; the
    families that it has, and those in which containers publish at their own addresses alone."""

    host_ip: str = ""
    versions: tuple[int, ...] = (4,)
    routed: tuple[int, ...] = ()


def binding(record: NetworkRecord) -> Binding:
    """Of a network. 0.0.0.0 is Docker's word for addresses of IPv6 as well."""
    spec = record.spec
    found = spec.driver_options.get(HOST_BINDING, "")
    versions = tuple(sorted({entry.version for entry in spec.ipam_config}))
    return Binding("" if found == "0.0.0.0" else found, versions, with_mode(spec, ROUTED))
