# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of nftables, as values: one table, in which maps find at once what concerns a packet.

::

    table inet mini
      raw          prerouting   a bridge may not reach the host's 127.0.0.0/8
      prerouting   nat          published ports, for other hosts and for containers ─┐
      output       nat          the same, for this host ────────────────────────────┴→ translate → @at4 @any4 …
      forward      filter       what enters a bridge: @into → into-BRIDGE; what leaves one: @out
      postrouting  nat          the way out: @leaving → leave-BRIDGE; and whose replies must come back through the
                                host: @arriving → arrive-BRIDGE
      from-BRIDGE  input        of a network over many hosts: its packets are taken from its other hosts alone

A published port is an element of a map: of `at4`, by an address of the host, protocol and port, or of `any4`, where it
is on all addresses. These are hash tables: ten thousand ports cost a packet what one does. Those that are for some
clients alone are in `ports4`, by the client's network as well; and a range that keeps its ports is one element of
`ranges4`, whose values are addresses alone. Where ranges are, the kernel looks through bitmaps. Ports of containers
that are open at their own addresses, where a network is routed, are in `opened4`.

Nat chains come a little behind the usual place, so that what the administrator put there has precedence.
"""

from __future__ import annotations

from collections.abc import Iterator

from .rules import ANYWHERE, ELEMENT, HOST, LOOPBACK, Lan, Policy, Rule, Translation, Tunnel, family_of

TABLE = "mini"
CHAINS = {
    "raw": "type filter hook prerouting priority -300; policy accept;",
    "forward": "type filter hook forward priority 0; policy accept;",
    "prerouting": "type nat hook prerouting priority -95; policy accept;",
    "output": "type nat hook output priority -95; policy accept;",
    "postrouting": "type nat hook postrouting priority 105; policy accept;",
    "translate": "",
}
FROM = "from-"
_WHAT = ("inet_proto", "inet_service")
_ADDRESS = {family: f"ipv{family}_addr" for family in (4, 6)}
_WHO = {family: (_ADDRESS[family], _ADDRESS[family], *_WHAT) for family in (4, 6)}
KEYS: dict[str, tuple[str, ...]] = {
    "bridges": ("ifname",),
    "open": ("ifname",),
    "into": ("ifname",),
    "out": ("ifname",),
    "leaving": ("ifname",),
    "arriving": ("ifname",),
    **{f"at{family}": (_ADDRESS[family], *_WHAT) for family in (4, 6)},
    **{f"any{family}": _WHAT for family in (4, 6)},
    **{f"ports{family}": _WHO[family] for family in (4, 6)},
    **{f"ranges{family}": _WHO[family] for family in (4, 6)},
    **{f"opened{family}": _WHO[family] for family in (4, 6)},
}
VALUES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("into", "out", "leaving", "arriving"), ("verdict",)),
    **{f"{kind}{family}": (_ADDRESS[family], "inet_service") for kind in ("at", "any", "ports") for family in (4, 6)},
    **{f"ranges{family}": (_ADDRESS[family],) for family in (4, 6)},
}
OF_NETWORKS = ("bridges", "open", "into", "out", "leaving", "arriving")
WITH_RANGES = ("ports4", "ranges4", "opened4", "ports6", "ranges6", "opened6")
OF_PORTS = ("at4", "any4", "at6", "any6", *WITH_RANGES)

_LOOK_UPS = (
    ("at", "{ip} daddr . "),
    ("any", ""),
    ("ports", "{ip} saddr . {ip} daddr . "),
    ("ranges", "{ip} saddr . {ip} daddr . "),
)


def _host_rules() -> Iterator[tuple[str, str]]:
    yield "raw", f"iifname @bridges ip daddr {LOOPBACK[4]} drop"
    yield "forward", "oifname vmap @into"
    yield "forward", "iifname vmap @out"
    yield "prerouting", f"ip daddr != {LOOPBACK[4]} fib daddr type local jump translate"
    yield "prerouting", "meta nfproto ipv6 fib daddr type local jump translate"
    yield "output", "fib daddr type local jump translate"
    for ip, family in (("ip", 4), ("ip6", 6)):
        for kind, who in _LOOK_UPS:
            key = f"{who.format(ip=ip)}meta l4proto . th dport"
            yield "translate", f"meta l4proto {{ tcp, udp, sctp }} dnat {ip} to {key} map @{kind}{family}"
    yield "postrouting", "iifname vmap @leaving"
    yield "postrouting", "oifname vmap @arriving"


OF_HOST = tuple(Rule("chain", chain, (text,), HOST, family=0) for chain, text in _host_rules())


def chains_of(bridge: str) -> tuple[str, str, str, str, str]:
    """The chains of a network: what may enter it, whose source is changed on the way out and on the way in, what may
    go to other hosts that have a part of it, and what is taken from them."""
    return f"into-{bridge}", f"leave-{bridge}", f"arrive-{bridge}", f"beyond-{bridge}", f"{FROM}{bridge}"


def hook_of(chain: str) -> str:
    """Where the kernel enters a chain; empty for one that is jumped to. Fragments have been put together by then."""
    return "type filter hook input priority 0; policy accept;" if chain.startswith(FROM) else CHAINS.get(chain, "")


def rules_of(owner: str, policy: Policy) -> tuple[Rule, ...]:
    """The rules and elements for a network or a container. The verdicts come after the chains they lead to."""
    if policy is None:
        return ()
    if isinstance(policy, Lan):
        rules = [Rule("chain", chain, (text,), owner, family=0) for chain, text in _network(policy)]
        elements = _verdicts(policy)
    else:
        rules, elements = [], (element for each in policy for element in _translation(each))
    return (*rules, *(Rule(ELEMENT, name, args, owner, family=0) for name, args in elements))


def _network(lan: Lan) -> Iterator[tuple[str, str]]:
    into, leave, arrive, beyond, strangers = chains_of(lan.bridge)
    mine, translated = f'iifname "{lan.bridge}"', "ct status dnat"
    if lan.icc:
        yield into, f"{mine} accept"
    for subnet in lan.subnets if lan.overlay else ():
        yield into, f'iifname "{lan.overlay}" {_ip(subnet)} saddr {subnet} accept'
        yield beyond, f"{mine} {_ip(subnet)} daddr {subnet} accept"
    if lan.overlay:
        yield beyond, "drop"
    if not lan.internal:
        yield into, "ct state established,related accept"
        yield into, f"{translated} accept"
        if not lan.isolate:
            yield into, "iifname @open accept"
        for family in lan.unprotected:
            yield into, f"meta nfproto ipv{family} iifname != @bridges accept"
        yield from ((into, text) for text in _opened(lan))
    yield into, "drop"
    if lan.overlay and _masqueraded(lan):
        yield leave, f'oifname "{lan.overlay}" return'
    for which in _masqueraded(lan):
        yield leave, f'{which}oifname != "{lan.bridge}" masquerade'
    # By address: where bridges call the packet filter (br_netfilter) it is not told here where a packet came in.
    for source in (*lan.subnets, *(LOOPBACK[family] for family in sorted(set(map(family_of, lan.subnets))))):
        yield arrive, f"{_ip(source)} saddr {source} {translated} masquerade"
    if lan.tunnel:
        yield strangers, _strangers(lan.tunnel)


def _opened(lan: Lan) -> Iterator[str]:
    """What comes to the containers' own addresses, from wherever: what they publish, and questions whether they are
    there, and how large a packet may be."""
    for ip, family, control in (("ip", 4, "icmp"), ("ip6", 6, "ipv6-icmp")):
        if family in lan.routed:
            yield f"{ip} saddr . {ip} daddr . meta l4proto . th dport @opened{family} accept"
            yield f"meta nfproto ipv{family} meta l4proto {control} accept"


def _masqueraded(lan: Lan) -> list[str]:
    """Which packets have the host's address outside: of both families, of one, or of none."""
    families = [family for family in (4, 6) if family not in lan.routed]
    if not lan.masquerade or lan.internal:
        return []
    return [f"meta nfproto ipv{family} " for family in families] if lan.routed else [""]


def _strangers(tunnel: Tunnel) -> str:
    """The number of the network is behind the UDP header's 64 bits and 32 more (RFC 7348, section 5). Other networks,
    and who else uses VXLAN on this host, may have the same port."""
    them = f"{_ip(tunnel.local)} saddr != {{ {', '.join(tunnel.peers)} }}" if tunnel.peers else ""
    return " ".join(
        filter(
            None,
            (f"meta nfproto ipv{tunnel.family} udp dport {tunnel.port} @th,96,24 {tunnel.vni}", them, "drop"),
        )
    )


def _ip(subnet: str) -> str:
    return "ip6" if family_of(subnet) == 6 else "ip"


def _verdicts(lan: Lan) -> Iterator[tuple[str, tuple[str, ...]]]:
    key = f'"{lan.bridge}"'
    into, leave, arrive, beyond, _strangers = chains_of(lan.bridge)
    yield "into", (key, f"jump {into}")
    if lan.overlay:
        yield "into", (f'"{lan.overlay}"', f"jump {beyond}")
        yield "out", (f'"{lan.overlay}"', "drop")
    yield "out", (key, "drop" if lan.internal else "accept")
    if _masqueraded(lan):
        yield "leaving", (key, f"jump {leave}")
    yield "arriving", (key, f"jump {arrive}")
    for inside in filter(None, (lan.bridge, lan.overlay)):
        yield "bridges", (f'"{inside}"',)
    if not lan.isolate:
        yield "open", (key,)


def _translation(span: Translation) -> Iterator[tuple[str, tuple[str, ...]]]:
    if span.opened:
        yield from _opening(span)
        return
    family, to_host = span.family, span.host_ip or ANYWHERE[span.family]
    whole = span.count > 1 and span.port == span.to
    if not span.sources and not whole:
        who = f"{span.host_ip} . {span.protocol}" if span.host_ip else span.protocol
        yield from _single("at" if span.host_ip else "any", who, span)
        return
    for source in span.sources or (ANYWHERE[family],):
        who = f"{source} . {to_host} . {span.protocol}"
        if whole:
            yield f"ranges{family}", (f"{who} . {span.port}-{span.last}", span.ip)
        else:
            yield from _single("ports", who, span)


def _opening(span: Translation) -> Iterator[tuple[str, tuple[str, ...]]]:
    ports = f"{span.to}-{span.to + span.count - 1}" if span.count > 1 else str(span.to)
    for source in span.sources or (ANYWHERE[span.family],):
        yield f"opened{span.family}", (f"{source} . {span.ip} . {span.protocol} . {ports}",)


def _single(kind: str, who: str, span: Translation) -> Iterator[tuple[str, tuple[str, ...]]]:
    for offset in range(span.count):
        yield f"{kind}{span.family}", (f"{who} . {span.port + offset}", f"{span.ip} . {span.to + offset}")
