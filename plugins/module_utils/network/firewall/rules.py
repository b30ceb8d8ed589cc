# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packets go where, as values. A driver puts them into the kernel; nothing here runs a command.

::

    raw     PREROUTING  → MINI-RAW      a bridge may not reach the host's 127.0.0.0/8
    nat     PREROUTING  → MINI-DNAT     published ports, for other hosts and for containers
            OUTPUT      → MINI-DNAT     the same, for this host
            POSTROUTING → MINI-SNAT     the way out, and replies that must come back through the host
    filter  FORWARD     → MINI-FORWARD → MINI-IN   what may enter a bridge; the rest is dropped
                                       → MINI-OUT  what may leave it

Everything enters by MINI-IN before anything may leave by MINI-OUT. So networks cannot reach each other, a neighbour
who routes to a container's own address is dropped, and a published port is reachable from everywhere: its packets are
the only ones whose destination was translated (`--ctstate DNAT`). No policy is changed, and the packets that concern
none of our bridges fall through untouched.

A container's answer to 127.0.0.1 on the host needs `route_localnet` on its bridge, and its packets must not use it in
the other direction: hence MINI-RAW. Packets from outside that claim 127.0.0.1 as their destination must not be
translated, or a neighbour could use a port published for this host alone: hence `! -d 127.0.0.0/8` in PREROUTING.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core.specs import PublishedPort

LOOPBACK = "127.0.0.0/8"
TAG = "mini"

CHAINS = (
    ("raw", "MINI-RAW"),
    ("filter", "MINI-FORWARD"),
    ("filter", "MINI-IN"),
    ("filter", "MINI-OUT"),
    ("nat", "MINI-DNAT"),
    ("nat", "MINI-SNAT"),
)
"""Our own chains. Filter comes before nat, so that nothing is let in before everything else is kept out."""


@dataclass(frozen=True)
class Rule:
    """One rule. `owner` is the bridge of a network, the id of a container, or `host` for the jumps to our chains."""

    table: str
    chain: str
    args: tuple[str, ...]
    owner: str
    first: bool = False

    @property
    def tag(self) -> str:
        """The comment that marks the rule as ours: found again by it, and a changed rule has another."""
        text = "\0".join((self.table, self.chain, *self.args))
        return f"{TAG}:{self.owner}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


HOST = (
    Rule("raw", "PREROUTING", ("-j", "MINI-RAW"), "host"),
    Rule("filter", "MINI-FORWARD", ("-j", "MINI-IN"), "host"),
    Rule("filter", "MINI-FORWARD", ("-j", "MINI-OUT"), "host"),
    Rule("filter", "FORWARD", ("-j", "MINI-FORWARD"), "host", first=True),
    Rule(
        "nat",
        "PREROUTING",
        ("!", "-d", LOOPBACK, "-m", "addrtype", "--dst-type", "LOCAL", "-j", "MINI-DNAT"),
        "host",
    ),
    Rule("nat", "OUTPUT", ("-m", "addrtype", "--dst-type", "LOCAL", "-j", "MINI-DNAT"), "host"),
    Rule("nat", "POSTROUTING", ("-j", "MINI-SNAT"), "host"),
)
"""The jumps. In nat they are appended, behind what the administrator put there; in FORWARD ours comes first, because
a rule that refuses everything often stands at the end, and ours speak of our bridges alone."""


def of_network(bridge: str, subnet: str, *, internal: bool = False, overlay: str = "") -> tuple[Rule, ...]:
    """The rules of one network; they are owned by its bridge's name. Behind the device `overlay` is the rest of it."""
    into, out = ("-o", bridge), ("-i", bridge)
    translated = ("-m", "conntrack", "--ctstate", "DNAT")
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    specs: list[tuple[str, str, tuple[str, ...]]] = [
        ("raw", "MINI-RAW", (*out, "-d", LOOPBACK, "-j", "DROP")),
        ("filter", "MINI-IN", (*out, *into, "-j", "ACCEPT")),
    ]
    if overlay:
        specs += [
            ("filter", "MINI-IN", ("-i", overlay, *into, "-s", subnet, "-j", "ACCEPT")),
            ("filter", "MINI-IN", (*out, "-o", overlay, "-d", subnet, "-j", "ACCEPT")),
            ("filter", "MINI-OUT", ("-i", overlay, "-j", "DROP")),
            ("nat", "MINI-SNAT", ("-s", subnet, "-o", overlay, "-j", "RETURN")),
        ]
    if not internal:
        specs += [
            ("filter", "MINI-IN", (*into, *answers, "-j", "ACCEPT")),
            ("filter", "MINI-IN", (*into, *translated, "-j", "ACCEPT")),
        ]
    specs += [
        ("filter", "MINI-IN", (*into, "-j", "DROP")),
        ("filter", "MINI-OUT", (*out, "-j", "DROP" if internal else "ACCEPT")),
        ("nat", "MINI-SNAT", ("-s", LOOPBACK, *into, *translated, "-j", "MASQUERADE")),
    ]
    if subnet and not internal:
        specs.append(("nat", "MINI-SNAT", ("-s", subnet, "!", *into, "-j", "MASQUERADE")))
    if subnet:
        specs.append(("nat", "MINI-SNAT", ("-s", subnet, "-d", subnet, *into, *translated, "-j", "MASQUERADE")))
    return tuple(Rule(table, chain, args, bridge) for table, chain, args in specs)


def of_container(container_id: str, ports: Iterable[tuple[PublishedPort, str]]) -> tuple[Rule, ...]:
    """The translations of a container's published ports, each with the container's address. Neighbouring ports that
    lead to neighbouring ports share a rule."""
    return tuple(
        Rule("nat", "MINI-DNAT", _translation(span), container_id) for span in spans(sorted(set(ports), key=_order))
    )


@dataclass(frozen=True)
class Span:
    """`count` ports from `first` on, translated to as many of the container."""

    first: PublishedPort
    ip: str
    count: int = 1

    def covers(self, port: PublishedPort, ip: str) -> bool:
        """Whether the rule of this span is the one for `port`."""
        offset = port.host_port - self.first.host_port
        return 0 <= offset < self.count and self.continued(offset) == (port, ip)

    def continued(self, offset: int) -> tuple[PublishedPort, str]:
        """The port `offset` places after the first."""
        first = self.first
        moved = PublishedPort(first.host_port + offset, first.container_port + offset, first.protocol, first.host_ip)
        return moved, self.ip


def spans(ports: Sequence[tuple[PublishedPort, str]]) -> list[Span]:
    """Sorted ports, with runs of them made one."""
    found: list[Span] = []
    for port, ip in ports:
        last = found[-1] if found else None
        if last is not None and last.continued(last.count) == (port, ip):
            found[-1] = Span(last.first, ip, last.count + 1)
        else:
            found.append(Span(port, ip))
    return found


def _order(item: tuple[PublishedPort, str]) -> tuple[str, str, str, int]:
    port, ip = item
    return port.protocol, port.host_ip, ip, port.host_port


def _translation(span: Span) -> tuple[str, ...]:
    port, last = span.first, span.count - 1
    to_host = ("-d", port.host_ip) if port.host_ip else ()
    wanted = f"{port.host_port}:{port.host_port + last}" if last else str(port.host_port)
    if not last:
        target = f"{span.ip}:{port.container_port}"
    elif port.host_port == port.container_port:
        target = span.ip  # without a port the packet keeps its own
    else:
        # "/8000" makes 8000 lead to the first port, 8001 to the second (iptables-extensions(8), shifted port map)
        target = f"{span.ip}:{port.container_port}-{port.container_port + last}/{port.host_port}"
    return (*to_host, "-p", port.protocol, "--dport", wanted, "-j", "DNAT", "--to-destination", target)
