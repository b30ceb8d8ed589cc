# SPDX-License-Identifier: GPL-3.0-or-later
"""A network's options and their canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs import NetworkSpec
from ..network import pools

NETWORK_OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "driver": {"type": "str", "choices": ["bridge"], "default": "bridge"},
    "subnet": {"type": "str"},
    "gateway": {"type": "str"},
    "ipam_config": {
        "type": "list",
        "elements": "dict",
        "options": {"subnet": {"type": "str", "required": True}, "gateway": {"type": "str"}},
    },
    "internal": {"type": "bool"},
    "mtu": {"type": "int"},
    "labels": {"type": "dict"},
}

MTU_MIN, MTU_MAX = 576, 65535  # RFC 791 asks for 576; a bridge takes no more than 65535


def network_spec(params: Mapping[str, Any]) -> NetworkSpec:
    """What the task asks for; options that are left out have their empty value."""
    subnet, gateway = _addresses(params)
    mtu = params["mtu"] or 0
    if mtu and not MTU_MIN <= mtu <= MTU_MAX:
        raise BadInput(f"mtu: {mtu} is not possible", hint=f"give {MTU_MIN} to {MTU_MAX}")
    return NetworkSpec(
        name=check_name("network", params["name"]),
        driver=params["driver"],
        subnet=subnet,
        gateway=gateway,
        internal=bool(params["internal"]),
        mtu=mtu,
        labels={str(key): str(value) for key, value in (params["labels"] or {}).items()},
    )


def given(params: Mapping[str, Any]) -> frozenset[str]:
    """The fields of the specification that the task mentions."""
    subnet, gateway = _addresses(params)
    mentioned = {name for name in ("internal", "mtu", "labels") if params[name] is not None}
    return frozenset(mentioned | ({"subnet"} if subnet else set()) | ({"gateway"} if gateway else set()))


def _addresses(params: Mapping[str, Any]) -> tuple[str, str]:
    entries = params["ipam_config"] or []
    if len(entries) > 1:
        raise BadInput("ipam_config: a network has one IPv4 subnet", hint="give one entry")
    source = entries[0] if entries else params
    subnet = pools.parse_subnet(source["subnet"]) if source["subnet"] else ""
    gateway = source["gateway"] or ""
    if gateway and not subnet:
        raise BadInput(f"gateway: {gateway} is given without a subnet", hint="give the subnet as well")
    return subnet, pools.parse_gateway(gateway, subnet) if gateway else ""
