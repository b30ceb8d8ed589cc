# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a network over many hosts: what the hosts are, and what their containers are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs import Subnet, Vxlan
from ..network import inet, slices
from ..network.hosts import Far

OVERLAY_OPTIONS: dict[str, Any] = {
    "vxlan": {
        "type": "dict",
        "options": {
            "host": {"type": "str", "required": True},
            "hosts": {"type": "dict", "required": True},
            "slices": {"type": "int", "default": slices.SLICES},
            "vni": {"type": "int"},
            "port": {"type": "int", "default": 4789},
        },
    },
    "names": {"type": "dict"},
}


def vxlan_of(name: str, params: Mapping[str, Any], entries: tuple[Subnet, ...]) -> Optional[Vxlan]:
    """The hosts of the network, and how its subnets are divided; None when the task does not say."""
    found = params["vxlan"]
    if params["driver"] != "vxlan":
        for option in ("vxlan", "names"):
            if params[option] is not None:
                raise BadInput(f"{option}: it is for networks over many hosts", hint="give driver: vxlan as well")
        return None
    if bool(found) != bool(entries) or any(entry != Subnet(entry.subnet) for entry in entries):
        raise BadInput(
            "vxlan: the hosts of a network and its subnets belong together, and no other address can be given",
            hint="give vxlan and subnet, the same on all hosts; the gateways are the first addresses of the slices",
        )
    if not found:
        return None
    if params["enable_ipv6"] and not any(entry.version == 6 for entry in entries):
        raise BadInput("enable_ipv6: all hosts must have the same subnet", hint="give it in ipam_config")
    hosts, numbers = slices.parse_hosts(found["hosts"])
    vni = slices.vni_of(name) if found["vni"] is None else found["vni"]
    subnets = tuple(entry.subnet for entry in entries)
    vxlan = Vxlan(found["host"], hosts, subnets, found["slices"], vni, found["port"], numbers)
    slices.check(vxlan)
    return vxlan


def names_of(params: Mapping[str, Any]) -> Optional[Far]:
    """The containers on each of the other hosts, by name, with their addresses; None when the task does not say."""
    if params["names"] is None:
        return None
    return {check_name("host", host): _table(host, table) for host, table in sorted(params["names"].items())}


def _table(host: str, table: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, Mapping):
        raise BadInput(f"names: {table!r} of {host} is no table", hint="give {name: address}")
    return {check_name("container", name): _addresses(name, table[name]) for name in sorted(table)}


def _addresses(name: str, value: Any) -> tuple[str, ...]:
    try:
        return tuple(map(inet.plain, [value] if isinstance(value, str) else value))
    except (AttributeError, TypeError, ValueError) as exc:
        raise BadInput(f"names: {value!r} of {name} is no IP address", hint="give one, or a list of them") from exc
