# SPDX-License-Identifier: GPL-3.0-or-later
"""A network's options and their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.network import NetworkSpec, Subnet
from ..network import pools, slices
from .driver_options import MTU, driver_options, mtu
from .overlay import OVERLAY_OPTIONS, vxlan_of

NETWORK_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "driver": {"type": "str", "choices": ["bridge", "vxlan"], "default": "bridge"},
    "subnet": {"type": "str"},
    "gateway": {"type": "str"},
    "ipam_config": {
        "type": "list",
        "elements": "dict",
        "options": {
            "subnet": {"type": "str", "required": True},
            "iprange": {"type": "str"},
            "gateway": {"type": "str"},
            "aux_addresses": {"type": "dict"},
        },
    },
    "internal": {"type": "bool"},
    "mtu": {"type": "int"},
    "labels": {"type": "dict"},
    "enable_ipv4": {"type": "bool"},
    "enable_ipv6": {"type": "bool"},
    "isolate": {"type": "bool"},
    "driver_options": {"type": "dict"},
    **OVERLAY_OPTIONS,
    "firewall_driver": {"type": "str", "choices": ["nftables", "iptables"]},
}

_MENTIONED = ("internal", "mtu", "labels", "enable_ipv4", "enable_ipv6", "isolate", "driver_options", "vxlan")


def network_spec(params: Mapping[str, Any]) -> NetworkSpec:
    """What the task asks for; options that are left out have their empty value."""
    name, entries = check_name("network", params["name"]), _ipam_config(params)
    vxlan = vxlan_of(name, params, entries)
    options = driver_options(params["driver_options"] or {})
    return NetworkSpec(
        name=name,
        driver=params["driver"],
        ipam_config=slices.slices_of(vxlan, vxlan.host) if vxlan else entries,
        internal=bool(params["internal"]),
        mtu=mtu(params["mtu"] or 0, options),
        labels={str(key): str(value) for key, value in (params["labels"] or {}).items()},
        enable_ipv4=params["enable_ipv4"] is not False and not (vxlan and all(":" in net for net in vxlan.subnets)),
        enable_ipv6=_ipv6(params, entries),
        isolate=params["isolate"] is not False,
        driver_options=options,
        vxlan=vxlan,
    )


def _ipv6(params: Mapping[str, Any], entries: tuple[Subnet, ...]) -> bool:
    """An IPv6 subnet says it as well."""
    for version, option in ((4, "enable_ipv4"), (6, "enable_ipv6")):
        subnet = next((entry.subnet for entry in entries if entry.version == version), "")
        if subnet and params[option] is False:
            raise BadInput(f"{option}: false, but {subnet} is given", hint="leave one of the two out")
    return bool(params["enable_ipv6"]) or any(entry.version == 6 for entry in entries)


def given(params: Mapping[str, Any]) -> frozenset[str]:
    """The fields of the specification that the task mentions."""
    implied = {"enable_ipv6"} if any(entry.version == 6 for entry in _ipam_config(params)) else set()
    implied |= {"mtu"} if MTU in (params["driver_options"] or {}) else set()
    return frozenset(implied | {name for name in _MENTIONED if params[name] is not None})


def _ipam_config(params: Mapping[str, Any]) -> tuple[Subnet, ...]:
    """`subnet` and `gateway` are the short way of writing one entry."""
    if params["gateway"] and not params["subnet"]:
        raise BadInput(f"gateway: {params['gateway']} is given without a subnet", hint="give the subnet as well")
    short = [{"subnet": params["subnet"], "gateway": params["gateway"]}] if params["subnet"] else []
    entries = tuple(
        pools.parse(
            entry["subnet"],
            entry.get("iprange") or "",
            entry.get("gateway") or "",
            {str(name): str(address) for name, address in (entry.get("aux_addresses") or {}).items()},
        )
        for entry in params["ipam_config"] or short
    )
    pools.check_apart(entry.subnet for entry in entries)
    return entries
