# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of a network, for whoever looks after it: leases, how full its subnets are, rules, and what has drifted."""

from __future__ import annotations

import ipaddress
from typing import Any

from ...core.errors import MiniError
from ...core.paths import Paths
from ...core.specs.network import Subnet
from ...network import leases as links
from ...network.pools import unusable
from .describe import describe
from .leases import addresses, title
from .observe import observe_kernel
from .packetfilter import Sight
from .plan import plan_repair
from .record import NetworkRecord, lan_of


def picture(paths: Paths, record: NetworkRecord, sight: Sight) -> dict[str, Any]:
    """`docker network inspect`, and what no peer tells. Reads only."""
    leases = links.leases(paths.leases(record.name))
    return {
        **describe(paths, record),
        "Leases": _leases(paths, record, leases),
        "Usage": [_usage(entry, leases) for entry in record.spec.ipam_config],
        **_kernel(paths, record, sight),
    }


def _leases(paths: Paths, record: NetworkRecord, leases: dict[str, str]) -> dict[str, Any]:
    """An orphan is of a container that is gone; the next that needs its address takes it."""
    alive = {ip for ips in addresses(paths, record.name).values() for ip in ips}
    return {
        ip: {"Container": owner, "Name": title(paths, owner), "Orphan": ip not in alive}
        for ip, owner in sorted(leases.items(), key=lambda item: (":" in item[0], ipaddress.ip_address(item[0])))
    }


def _usage(entry: Subnet, leases: dict[str, str]) -> dict[str, Any]:
    """`Size` is how many containers fit: the addresses of the range, without those that nobody gets."""
    net = ipaddress.ip_network(entry.iprange or entry.subnet)
    kept = {*unusable(ipaddress.ip_network(entry.subnet))}
    kept |= {ipaddress.ip_address(ip) for ip in (entry.gateway, *entry.aux_addresses.values())}
    used = sum(1 for ip in leases if ipaddress.ip_address(ip) in net)
    return {"Subnet": entry.subnet, "Size": net.num_addresses - sum(ip in net for ip in kept), "Used": used}


def _kernel(paths: Paths, record: NetworkRecord, sight: Sight) -> dict[str, Any]:
    """The rules that the network needs, with those of them that are missing, and the steps that would put all right."""
    try:
        seen = observe_kernel(paths, record, sight)
        lan = lan_of(record.bridge, record.spec)
        wanted = seen.rules.dialect.rules_of(record.bridge, lan)
        missing = {rule.tag for rule in seen.rules.missing(record.bridge, lan)}
        rules = [
            {"Rule": " ".join([*rule.place[1:], *rule.args]), "Present": rule.tag not in missing} for rule in wanted
        ]
        return {
            "Firewall": seen.rules.dialect.name,
            "Rules": rules,
            "Drift": plan_repair(record, seen).describe(),
        }
    except MiniError as exc:
        return {"Firewall": "", "Rules": [], "Drift": [str(exc)]}
