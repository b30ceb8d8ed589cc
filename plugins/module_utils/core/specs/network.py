# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks for of a network, and of a container's place in it, in canonical form.

These values are frozen, and compare equal when they mean the same. They are written into records, so their annotations
must be evaluable on Python 3.9 (`Optional[X]`, not `X | None`), and a new field needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional


@dataclass(frozen=True)
class Subnet:
    """A range of addresses of a network, IPv4 or IPv6.

    The host has `gateway`. Addresses are given out from `iprange`, empty for the whole subnet, and nobody gets those in
    `aux_addresses`, which are there by a name.
    """

    subnet: str
    iprange: str = ""
    gateway: str = ""
    aux_addresses: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@dataclass(frozen=True)
class Vxlan:
    """What a network has that is one over many hosts, each of which gives out addresses of its own slice.

    `host` is this host in `hosts`, which has the addresses of all among themselves; `subnets` are divided into `slices`
    equal parts, and `numbers` are the slices of the hosts whose address does not say it. `vni` is the network's number
    in packets, which go to the UDP port `port`.
    """

    host: str
    hosts: dict[str, str]
    subnets: tuple[str, ...]
    slices: int
    vni: int
    port: int = 4789
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """This host's own."""
        return self.hosts[self.host]


@dataclass(frozen=True)
class NetworkSpec:
    """A network. A family that is enabled and has no subnet gets one when the network is created, and keeps it.

    `ipam_config` is what this host gives out: of a network over many hosts, its slices.

    `driver_options` are as given; what they mean is in fields of their own as well. `isolate` keeps the containers of
    other networks out.
    """

    name: str
    driver: str = "bridge"
    ipam_config: tuple[Subnet, ...] = ()
    internal: bool = False
    mtu: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    isolate: bool = True
    driver_options: dict[str, str] = field(default_factory=dict)
    vxlan: Optional[Vxlan] = None

    @staticmethod
    def of_older(fields: dict[str, Any]) -> dict[str, Any]:
        """Records of the first schema have one IPv4 subnet, in two fields."""
        if "subnet" not in fields:
            return fields
        return {**fields, "ipam_config": [{"subnet": fields["subnet"], "gateway": fields["gateway"]}]}

    def of_family(self, version: int) -> tuple[Subnet, ...]:
        """The subnets of IPv4 or of IPv6."""
        return tuple(entry for entry in self.ipam_config if entry.version == version)

    @property
    def subnets(self) -> tuple[str, ...]:
        """All subnets, of both families and on all hosts."""
        return self.vxlan.subnets if self.vxlan else tuple(entry.subnet for entry in self.ipam_config)

    def whole(self, entry: Subnet) -> str:
        """The subnet that an entry is, or is a slice of."""
        return entry.subnet if self.vxlan is None else self.subnet4 if entry.version == 4 else self.subnet6

    @property
    def subnet4(self) -> str:
        """The first IPv4 subnet, or an empty string."""
        return next((subnet for subnet in self.subnets if ":" not in subnet), "")

    @property
    def subnet6(self) -> str:
        """The first IPv6 subnet, or an empty string."""
        return next((subnet for subnet in self.subnets if ":" in subnet), "")


@dataclass(frozen=True)
class Attachment:
    """A container's place in a network. An address that is empty is any free one; `mac_address` empty: made from it.

    The default routes lead into the network of the highest `gw_priority`; of several, the first. `interface` is what it
    is called in the container, empty for the next free of eth0, eth1, …; `sysctls` are settings of it, by their path
    below /proc/sys/net. `links` are names that it alone has for others in the network, as `container:alias`.
    """

    name: str
    ipv4_address: str = ""
    aliases: tuple[str, ...] = ()
    mac_address: str = ""
    gw_priority: int = 0
    interface: str = ""
    ipv6_address: str = ""
    sysctls: dict[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()

    def show(self) -> str:
        """`lan`, `lan(10.0.0.2, alias web)`."""
        words = [self.ipv4_address, self.ipv6_address, self.mac_address, self.interface]
        words += [f"alias {name}" for name in self.aliases]
        words += [f"link {link}" for link in self.links]
        words += [f"gw_priority {self.gw_priority}"] if self.gw_priority else []
        words += [f"{name}={value}" for name, value in self.sysctls.items()]
        more = ", ".join(filter(None, words))
        return f"{self.name}({more})" if more else self.name


@dataclass(frozen=True, order=True)
class PublishedPort:
    """One published port. `host_ip` empty: every address of the host, 127.0.0.1 and ::1 among them; `0.0.0.0` or `::`:
    every one of a family.

    `host_port` 0 is any free one; with `host_last` it is a free one of the range from the one to the other.
    `allow_from` are the networks that may use it, empty for everyone.
    """

    host_port: int
    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_last: int = 0
    allow_from: tuple[str, ...] = ()

    @property
    def chosen(self) -> bool:
        """Whether the port of the host is found when the container starts."""
        return not self.host_port or bool(self.host_last)

    @property
    def versions(self) -> tuple[int, ...]:
        """The families of the host's addresses that are meant."""
        return (4, 6) if not self.host_ip else (6,) if ":" in self.host_ip else (4,)

    @property
    def key(self) -> str:
        """`127.0.0.1:8080->80/tcp`, `[::1]:8000-8010->80/tcp`, `any->80/tcp`."""
        host = str(self.host_port or "any") + (f"-{self.host_last}" if self.host_last else "")
        ip = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        return (f"{ip}:" if ip else "") + f"{host}->{self.container_port}/{self.protocol}"

    def show(self) -> str:
        """As the key, and for whom it is: `8080->80/tcp from 192.0.2.0/24`."""
        return self.key + (f" from {', '.join(self.allow_from)}" if self.allow_from else "")
