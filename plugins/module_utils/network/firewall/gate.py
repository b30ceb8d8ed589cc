# SPDX-License-Identifier: GPL-3.0-or-later
"""A way through the chains of iptables, for what the table of nftables lets pass.

A packet is forwarded when every base chain of every table accepts it. Where iptables is in use as well, by docker with
its policy DROP or by the administrator, an accept in our table is not enough: so each bridge is accepted there, too.
What may not pass has no use of that, since a drop in our own table is final.
"""

from __future__ import annotations

from ...linux.files import read_text
from .iptables import Iptables, Vocabulary
from .nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6, Table, supported
from .rules import HOST, Lan, Policy, Rule, family_of

CHAIN, MARK = "MINI-GATE", "mini-gate"
_FAMILIES = {4: (NFPROTO_IPV4, "/proc/thread-self/net/ip_tables_names"),
             6: (NFPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names")}  # fmt: skip


def gates() -> list[Iptables]:
    """One for each kind of iptables that has a FORWARD chain on this host."""
    families: dict[str, list[int]] = {"nft": [], "legacy": []}
    tables = supported()
    for family, (protocol, legacy) in _FAMILIES.items():
        if tables and _forwards(protocol):
            families["nft"].append(family)
        if "filter" in read_text(legacy, "").split():
            families["legacy"].append(family)
    return [Iptables(backend, found, GATE) for backend, found in families.items() if found]


def _forwards(protocol: int) -> bool:
    with Table("filter", protocol) as table:
        return table.has_chain("FORWARD")


def _of_host(family: int) -> tuple[Rule, ...]:
    return (Rule("filter", "FORWARD", ("-j", CHAIN), HOST, family, MARK),)


def _rules_of(owner: str, policy: Policy, family: int) -> tuple[Rule, ...]:
    if not isinstance(policy, Lan) or family not in map(family_of, policy.subnets):
        return ()
    devices = filter(None, (policy.bridge, policy.overlay))
    ways = [(direction, device) for device in devices for direction in ("-i", "-o")]
    return tuple(Rule("filter", CHAIN, (*way, "-j", "ACCEPT"), owner, family, MARK) for way in ways)


GATE = Vocabulary((("filter", CHAIN),), _of_host, _rules_of, MARK)
