# SPDX-License-Identifier: GPL-3.0-or-later
"""Published ports: `8080:80`, `127.0.0.1:8080:80`, `[::1]:8080:80`, `5353:53/udp`, `8000-8002:80-82`.

A port of the host that is left out (`80`, `127.0.0.1::80`) is any free one, and a range that leads to one port
(`8000-8010:80`) is a free one of it: which, is decided when the container starts. Without an address of the host it is
on all of them; `0.0.0.0` are those of IPv4, `[::]` those of IPv6.

A mapping, `{published: 8080:80, allow_from: [192.0.2.0/24]}`, says who may use the port.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn, Optional

from ..core.errors import BadInput
from ..core.specs.network import PublishedPort

_FORM = re.compile(
    r"(?:(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):)?(?P<host>\d+(?:-\d+)?)?:)?"
    r"(?P<container>\d+(?:-\d+)?)(?:/(?P<protocol>[a-zA-Z]+))?\Z",
    re.ASCII,
)
PROTOCOLS = ("tcp", "udp", "sctp")
UNSPECIFIED = ("0.0.0.0", "::")
FORMS = (
    "write it as 8080:80, 127.0.0.1:8080:80, [::1]:8080:80, 5353:53/udp, 8000-8002:80-82, or 80 for any free port of"
    " the host"
)


def parse(texts: Iterable[object], default_ip: str = "") -> tuple[PublishedPort, ...]:
    """All ports, sorted, each once; `BadInput` when one is malformed or two claim the same host port.

    Those without an address of the host are published on `default_ip`.
    """
    found: set[PublishedPort] = set()
    for item in texts:
        text, allow_from = _parts(item)
        for port in _parse_one(text, default_ip, allow_from):
            clash = overlapping([port], found - {port})
            if clash is not None:
                raise BadInput(
                    f"published_ports: {clash[0].show()} and {clash[1].show()} want the same port of the host",
                    hint="publish each host port once",
                )
            found.add(port)
    return tuple(sorted(found))


def overlapping(
    ports: Iterable[PublishedPort], others: Iterable[PublishedPort]
) -> Optional[tuple[PublishedPort, PublishedPort]]:
    """The first pair that cannot be published together: one port, one protocol, addresses that meet.

    Those that are chosen later are chosen so that they do not clash.
    """
    taken: dict[tuple[str, int], list[PublishedPort]] = {}
    for other in others:
        taken.setdefault((other.protocol, other.host_port), []).append(other)
    for port in ports:
        if port.chosen:
            continue
        for other in taken.get((port.protocol, port.host_port), []):
            if other.chosen:
                continue
            if meet(port.host_ip, other.host_ip):
                return port, other
    return None


def meet(one: str, other: str) -> bool:
    """Whether two addresses of the host, each empty or unspecified for all, have one in common."""
    if not one or not other or one == other:
        return True
    return (":" in one) == (":" in other) and (one in UNSPECIFIED or other in UNSPECIFIED)


def _parts(item: object) -> tuple[str, tuple[str, ...]]:
    """The text, and who may use the port."""
    if not isinstance(item, Mapping):
        return str(item).strip(), ()
    unknown = set(item) - {"published", "allow_from"}
    if unknown or not item.get("published"):
        raise BadInput(f"published_ports: {item!r} is not a published port", hint="give published, and allow_from")
    sources = item.get("allow_from") or []
    return str(item["published"]).strip(), tuple(
        sorted({_source(str(source)) for source in (sources if isinstance(sources, (list, tuple)) else [sources])})
    )


def _source(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip().replace("%", " ")))  # a zone (RFC 4007) may be any text
    except ValueError as exc:
        raise BadInput(
            f"published_ports: allow_from: {text!r} is not a network: {exc}", hint="write it as 192.0.2.0/24"
        ) from exc


def _parse_one(text: str, default_ip: str, allow_from: tuple[str, ...] = ()) -> list[PublishedPort]:
    match = _FORM.match(text)
    if match is None or (match["host"] is None and match["ip"] is None and ":" in text):
        _refuse(text, "is not a published port")
    protocol = (match["protocol"] or "tcp").lower()
    if protocol not in PROTOCOLS:
        _refuse(text, f"has the protocol {protocol}, which cannot be published; {', '.join(PROTOCOLS)} can")
    ip = _address(text, match["ip"] or default_ip)
    inside = _range(text, match["container"])
    if match["host"] is None:
        return [PublishedPort(0, inner, protocol, ip, 0, allow_from) for inner in inside]
    outside = _range(text, match["host"])
    if len(inside) == 1 and len(outside) > 1:
        return [PublishedPort(outside[0], inside[0], protocol, ip, outside[-1], allow_from)]
    if len(outside) != len(inside):
        _refuse(text, f"leads {len(outside)} ports of the host to {len(inside)} of the container")
    return [PublishedPort(outer, inner, protocol, ip, 0, allow_from) for outer, inner in zip(outside, inside)]


def parse_exposed(texts: Iterable[object]) -> tuple[str, ...]:
    """Ports of a container, as `80/tcp`: `80`, `53/udp`, `8000-8002`."""
    found: set[str] = set()
    for item in texts:
        text = str(item).strip()
        ports, _slash, protocol = text.partition("/")
        if not re.match(r"\d+(-\d+)?\Z", ports, re.ASCII) or (protocol or "tcp").lower() not in PROTOCOLS:
            raise BadInput(f"exposed_ports: {text[:80]!r} is not a port", hint="write it as 80, 53/udp or 8000-8002")
        found.update(f"{port}/{(protocol or 'tcp').lower()}" for port in _range(text, ports, "exposed_ports"))
    return tuple(sorted(found))


def _range(text: str, part: str, option: str = "published_ports") -> range:
    first, _dash, last = part.partition("-")
    if len(first) > 5 or len(last) > 5:
        _refuse(text, "has a port beyond 65535", option)
    low, high = int(first), int(last or first)
    if not 1 <= low <= 65535 or not 1 <= high <= 65535:
        _refuse(text, "has a port that is not between 1 and 65535", option)
    if high < low:
        _refuse(text, f"has a range that runs backwards ({part})", option)
    return range(low, high + 1)


def _address(text: str, ip: str) -> str:
    """The canonical address. One of IPv6 stands in brackets, as in a URL."""
    if not ip:
        return ""
    try:
        address = ipaddress.ip_address(ip[1:-1] if ip.startswith("[") else ip)
    except ValueError:
        _refuse(text, f"has {ip!r} where an address of the host belongs")
    if getattr(address, "scope_id", None):
        _refuse(text, "has an address of one interface alone, which cannot be published on")
    return str(address)


def _refuse(text: str, why: str, option: str = "published_ports") -> NoReturn:
    raise BadInput(f"{option}: {text[:80]!r} {why}", hint=FORMS)
