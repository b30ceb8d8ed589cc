# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a network over many hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..core.errors import BadInput
from ..core.specs.network import Subnet, Vxlan
from ..network import slices

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
