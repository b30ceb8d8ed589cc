# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of nftables' sets and maps: as `nft` writes them (`0.0.0.0/0 . 10.0.0.1 . tcp . 80`) and as the kernel has them.

In the kernel each part is padded to four bytes, numbers are big-endian, and what may be a range is two keys, its first
and its last one.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import NamedTuple

IFNAMSIZ = 16
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_SIZES = {"ipv4_addr": 4, "ipv6_addr": 16, "inet_proto": 4, "inet_service": 4, "ifname": IFNAMSIZ}


class Key(NamedTuple):
    """The first and the last key of an element; they are the same where there is no range."""

    first: bytes
    last: bytes


def pack(text: str, types: tuple[str, ...]) -> Key:
    """From nft's words to the kernel's."""
    parts = [_pack(part, kind) for part, kind in zip(text.split(" . "), types)]
    return Key(b"".join(first for first, _last in parts), b"".join(last for _first, last in parts))


def _pack(text: str, kind: str) -> tuple[bytes, bytes]:
    if kind in ("ipv4_addr", "ipv6_addr"):
        first, dash, last = text.partition("-")
        if dash:
            return ipaddress.ip_address(first).packed, ipaddress.ip_address(last).packed
        network = ipaddress.ip_network(text)
        return network.network_address.packed, network.broadcast_address.packed
    if kind == "inet_service":
        first, _dash, last = text.partition("-")
        return _padded(int(first), 2), _padded(int(last or first), 2)
    value = _padded(PROTOCOLS[text], 1) if kind == "inet_proto" else text.strip('"').encode().ljust(IFNAMSIZ, b"\0")
    return value, value


def _padded(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big").ljust(4, b"\0")


def unpack(key: Key, types: tuple[str, ...]) -> str:
    """From the kernel's words to nft's."""
    return " . ".join(_unpack(key, types))


def meet(one: Key, other: Key, types: tuple[str, ...]) -> bool:
    """Whether a packet could have both keys: they meet in every part."""
    at = 0
    for kind in types:
        part = slice(at, at + _SIZES[kind])
        at = part.stop
        if one.first[part] > other.last[part] or other.first[part] > one.last[part]:
            return False
    return True


def _unpack(key: Key, types: tuple[str, ...]) -> Iterator[str]:
    at = 0
    for kind in types:
        first, last = (side[at : at + _SIZES[kind]] for side in key)
        at += _SIZES[kind]
        if kind in ("ipv4_addr", "ipv6_addr"):
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            yield str(low) if low == high else f"{low}-{high}"
        elif kind == "inet_service":
            low_port, high_port = (int.from_bytes(side[:2], "big") for side in (first, last))
            yield str(low_port) if low_port == high_port else f"{low_port}-{high_port}"
        elif kind == "inet_proto":
            yield _NAMES.get(first[0], str(first[0]))
        else:
            yield '"' + first.rstrip(b"\0").decode(errors="replace") + '"'
