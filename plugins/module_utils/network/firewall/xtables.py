# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of iptables and ip6tables, as values.

::

    raw     PREROUTING  → MINI-RAW      a bridge may not reach the host's 127.0.0.0/8
    nat     PREROUTING  → MINI-DNAT     published ports, for other hosts and for containers
            OUTPUT      → MINI-DNAT     the same, for this host
            POSTROUTING → MINI-SNAT     the way out, and replies that must come back through the host
    filter  FORWARD     → MINI-FORWARD → MINI-IN   what may enter a bridge; the rest is dropped
                                       → MINI-OUT  what may leave it
                                         MINI-OPEN networks that are not isolated
                                         MINI-LANS what comes from any network at all
                                         MINI-OPENED what is open at a container's own address, in networks with routes
            INPUT       → MINI-PEERS    of a network over many hosts: its packets are taken from its other hosts alone

Each chain has a rule of the host's own. Where there is nothing for it to do it matches everything and says nothing:
who empties a chain takes it along, and that is seen whosever rules were in there.
"""

from __future__ import annotations

from collections.abc import Iterator

from .rules import HOST, LOOPBACK, Lan, Policy, Rule, Translation, family_of

CHAINS = (
    ("raw", "MINI-RAW"),
    ("filter", "MINI-FORWARD"),
    ("filter", "MINI-IN"),
    ("filter", "MINI-OUT"),
    ("filter", "MINI-OPEN"),
    ("filter", "MINI-LANS"),
    ("filter", "MINI-OPENED"),
    ("filter", "MINI-PEERS"),
    ("nat", "MINI-DNAT"),
    ("nat", "MINI-SNAT"),
)
"""Our own chains. Filter comes before nat, so that nothing is let in before everything else is kept out."""

TRANSLATED = ("-m", "conntrack", "--ctstate", "DNAT")
ANSWERS = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL")
# Four bytes from an offset, shifted (iptables-extensions(8), u32): the number is 12 bytes behind the IP header.
_NUMBER = {4: "0>>22&0x3C@12>>8", 6: "52>>8"}
_PLAIN6 = "4>>8&0xFF=17"  # what follows the header of IPv6 is that of UDP
_Args = tuple[str, ...]


def of_host(family: int) -> tuple[Rule, ...]:
    """The jumps, and the marks of chains that are whole. In nat the jumps are appended, behind what the administrator
    put there; in FORWARD ours comes first, because a rule that refuses everything often stands at the end, and ours
    speak of our bridges alone."""
    loopback = ("!", "-d", LOOPBACK[family])
    specs: list[tuple[str, str, _Args]] = [
        ("raw", "PREROUTING", ("-j", "MINI-RAW")),
        ("filter", "MINI-FORWARD", ("-j", "MINI-IN")),
        ("filter", "MINI-FORWARD", ("-j", "MINI-OUT")),
        ("filter", "FORWARD", ("-j", "MINI-FORWARD")),
        ("nat", "PREROUTING", (*loopback, *LOCAL, "-j", "MINI-DNAT")),
        ("nat", "OUTPUT", (*LOCAL, "-j", "MINI-DNAT")),
        ("nat", "POSTROUTING", ("-j", "MINI-SNAT")),
        *((table, chain, ()) for table, chain in CHAINS if chain != "MINI-FORWARD"),
    ]
    return tuple(Rule(table, chain, args, HOST, family) for table, chain, args in specs)


def rules_of(owner: str, policy: Policy, family: int) -> tuple[Rule, ...]:
    """The rules of one family for a network or a container."""
    if policy is None:
        return ()
    if isinstance(policy, Lan):
        specs = [*_network(policy, family), *_strangers(policy, family)]
    else:
        mine = (each for each in policy if family_of(each.ip) == family)
        specs = [spec for each in mine for spec in (_opening(each) if each.opened else _translation(each))]
    return tuple(Rule(table, chain, args, owner, family) for table, chain, args in specs)


def _strangers(lan: Lan, family: int) -> Iterator[tuple[str, str, _Args]]:
    """The packets are known by the port and the network's number. That of IPv6 is found in packets without extension
    headers, and those of the hosts have none."""
    tunnel = lan.tunnel
    if tunnel is None or tunnel.family != family:
        return
    to_us = ("-p", "udp", "--dport", str(tunnel.port), "-m", "u32")
    number = ("--u32", f"{_NUMBER[family]}={tunnel.vni}")
    if family == 6:
        yield "filter", "INPUT", (*to_us, "!", "--u32", _PLAIN6, "-j", "DROP")
    yield "filter", "INPUT", (*to_us, *number, "-j", "MINI-PEERS")
    for peer in tunnel.peers:
        yield "filter", "MINI-PEERS", ("-s", peer, *to_us, *number, "-j", "RETURN")
    yield "filter", "MINI-PEERS", (*to_us, *number, "-j", "DROP")


def _network(lan: Lan, family: int) -> Iterator[tuple[str, str, _Args]]:
    subnets = [subnet for subnet in lan.subnets if family_of(subnet) == family]
    if not subnets:
        return
    into, out = ("-o", lan.bridge), ("-i", lan.bridge)
    if family == 4:
        yield "raw", "MINI-RAW", (*out, "-d", LOOPBACK[4], "-j", "DROP")
    for subnet in subnets if lan.overlay else ():
        yield "filter", "MINI-IN", ("-i", lan.overlay, *into, "-s", subnet, "-j", "ACCEPT")
        yield "filter", "MINI-IN", (*out, "-o", lan.overlay, "-d", subnet, "-j", "ACCEPT")
    if lan.overlay:
        yield "filter", "MINI-IN", ("-o", lan.overlay, "-j", "DROP")
    yield from _forward(lan, into, out, family)
    for subnet in subnets:
        if lan.overlay:
            yield "nat", "MINI-SNAT", ("-s", subnet, "-o", lan.overlay, "-j", "RETURN")
        if lan.masquerade and not lan.internal and family not in lan.routed:
            yield "nat", "MINI-SNAT", ("-s", subnet, "!", *into, "-j", "MASQUERADE")
        yield "nat", "MINI-SNAT", ("-s", subnet, *into, *TRANSLATED, "-j", "MASQUERADE")
    yield "nat", "MINI-SNAT", ("-s", LOOPBACK[family], *into, *TRANSLATED, "-j", "MASQUERADE")


def _forward(lan: Lan, into: _Args, out: _Args, family: int) -> Iterator[tuple[str, str, _Args]]:
    for inside in filter(None, (lan.bridge, lan.overlay)):
        yield "filter", "MINI-LANS", ("-i", inside, "-j", "DROP")
    if lan.icc:
        yield "filter", "MINI-IN", (*out, *into, "-j", "ACCEPT")
    if not lan.internal:
        yield "filter", "MINI-IN", (*into, *ANSWERS, "-j", "ACCEPT")
        yield "filter", "MINI-IN", (*into, *TRANSLATED, "-j", "ACCEPT")
        if not lan.isolate:
            yield "filter", "MINI-IN", ("!", *out, *into, "-j", "MINI-OPEN")
            yield "filter", "MINI-OPEN", (*out, "-j", "ACCEPT")
        if family in lan.routed:
            yield "filter", "MINI-IN", (*into, "-j", "MINI-OPENED")
            yield "filter", "MINI-IN", (*into, "-p", "icmp" if family == 4 else "ipv6-icmp", "-j", "ACCEPT")
        if family in lan.unprotected:
            yield "filter", "MINI-IN", (*into, "-j", "MINI-LANS")
            yield "filter", "MINI-IN", (*into, "-j", "ACCEPT")
    yield "filter", "MINI-IN", (*into, "-j", "DROP")
    if lan.overlay:
        yield "filter", "MINI-OUT", ("-i", lan.overlay, "-j", "DROP")
    yield "filter", "MINI-OUT", (*out, "-j", "DROP" if lan.internal else "ACCEPT")


def _opening(span: Translation) -> Iterator[tuple[str, str, _Args]]:
    ports = f"{span.to}:{span.to + span.count - 1}" if span.count > 1 else str(span.to)
    for source in span.sources or ("",):
        of_them = ("-s", source) if source else ()
        yield "filter", "MINI-OPENED", (*of_them, "-d", span.ip, "-p", span.protocol, "--dport", ports, "-j", "ACCEPT")


def _translation(span: Translation) -> Iterator[tuple[str, str, _Args]]:
    """One rule, or one for each network that may use the port."""
    to_host = ("-d", span.host_ip) if span.host_ip else ()
    ports = f"{span.port}:{span.last}" if span.count > 1 else str(span.port)
    wanted = (*to_host, "-p", span.protocol, "--dport", ports, "-j", "DNAT", "--to-destination", _destination(span))
    for source in span.sources:
        yield "nat", "MINI-DNAT", ("-s", source, *wanted)
    if not span.sources:
        yield "nat", "MINI-DNAT", wanted


def _destination(span: Translation) -> str:
    address = f"[{span.ip}]" if span.family == 6 else span.ip
    if span.count == 1:
        return f"{address}:{span.to}"
    if span.port == span.to:
        return span.ip  # without a port the packet keeps its own
    # "/8000" makes 8000 lead to the first port, 8001 to the second (iptables-extensions(8), shifted port map)
    return f"{address}:{span.to}-{span.to + span.count - 1}/{span.port}"
