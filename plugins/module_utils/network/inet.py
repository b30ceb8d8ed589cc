# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses as numbers, by inet_pton(3): objects of Python's `ipaddress` take longer than all else that is done with a
lease."""

from __future__ import annotations

import functools
import ipaddress
import socket

from .pools import Net


def number(ip: str) -> int:
    """An address, IPv4 or IPv6, as a number."""
    return int.from_bytes(socket.inet_pton(_family(ip), ip), "big")


def text(value: int, version: int) -> str:
    """A number as the address of a family, in its usual spelling."""
    family, size = (socket.AF_INET6, 16) if version == 6 else (socket.AF_INET, 4)
    return socket.inet_ntop(family, value.to_bytes(size, "big"))


def plain(ip: str) -> str:
    """An address that somebody gives, in its usual spelling; ValueError for one with a zone (RFC 4007), which Python
    takes to be any text, and so one of several lines."""
    return str(ipaddress.ip_address(ip.replace("%", " ")))


def within(ip: str, net: Net) -> bool:
    """Whether the address is of the subnet."""
    same = (net.version == 6) == (":" in ip)
    return same and 0 <= number(ip) - int(net.network_address) < net.num_addresses


@functools.cache
def network(subnet: str) -> Net:
    """One of a few subnets, which are asked for again and again."""
    return ipaddress.ip_network(subnet)


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET
