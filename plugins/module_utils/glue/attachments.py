# SPDX-License-Identifier: GPL-3.0-or-later
"""`networks` and `mac_address` in canonical form."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_hostname, check_name
from ..core.specs.network import Attachment
from ..network.veth import is_made, mac_of
from .driver_options import check_endpoint, interface, sysctls


def attachments(value: list[dict[str, Any]], mac: str = "") -> tuple[Attachment, ...]:
    """`networks`, in the task's order; the first one has the container's own `mac_address` unless it names one."""
    names = [check_name("network", entry["name"]) for entry in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"networks: {twice} is named twice", hint="name it once")
    if mac and not value:
        raise BadInput("mac_address: it belongs to the first of the networks, and there is none", hint="give networks")
    options = [check_endpoint(name, entry.get("driver_opts") or {}) for name, entry in zip(names, value)]
    interfaces = [interface(name, each) for name, each in zip(names, options)]
    taken = next((text for text in interfaces if text and interfaces.count(text) > 1), None)
    if taken:
        raise BadInput(f"networks: two interfaces are to be called {taken}", hint="name each another way")
    found = tuple(
        Attachment(
            name,
            ip_address(name, 4, entry.get("ipv4_address") or ""),
            tuple(sorted({check_hostname(alias) for alias in entry.get("aliases") or ()})),
            mac_address(entry.get("mac_address") or ("" if position else mac)),
            entry.get("gw_priority") or 0,
            interfaces[position],
            ip_address(name, 6, entry.get("ipv6_address") or ""),
            sysctls(name, options[position]),
            tuple(sorted({link(name, text) for text in entry.get("links") or ()})),
        )
        for position, (name, entry) in enumerate(zip(names, value))
    )
    for entry in found:
        _check_made(entry)
    return found


def _check_made(entry: Attachment) -> None:
    """Who is given no MAC address has one that is made from its IP address, and must be the only one with that."""
    own = [mac_of(ip).hex(":") for ip in (entry.ipv4_address, entry.ipv6_address) if ip]
    if is_made(entry.mac_address) and entry.mac_address not in own:
        raise BadInput(
            f"mac_address: {entry.mac_address} is one of those that are made from IP addresses here",
            hint="give the IP address that it is made from as well, or another MAC address",
        )


def link(network: str, text: str) -> str:
    """`container:alias`; a container alone is linked to by its own name."""
    name, colon, alias = text.partition(":")
    if colon and not alias:
        raise BadInput(f"networks: {network}: {text!r} is not a link", hint="write it as container:alias")
    return f"{check_name('container', name)}:{check_hostname(alias or name)}"


def ip_address(network: str, version: int, text: str) -> str:
    """The address in its usual spelling."""
    try:
        found = ipaddress.ip_address(text.replace("%", " ")) if text else None
    except ValueError:
        found = None
    if text and (found is None or found.version != version):
        raise BadInput(f"networks: {network}: {text!r} is not an IPv{version} address")
    return str(found or "")


def mac_address(text: str) -> str:
    """`02:42:ac:11:00:02`, in lower case; the address of one interface, not of a group."""
    plain = text.lower().replace("-", ":")
    if plain and (not re.match(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z", plain) or int(plain[:2], 16) & 1):
        raise BadInput(
            f"mac_address: {text!r} is not the address of an interface", hint="write it as 02:42:ac:11:00:02"
        )
    if plain == "00:00:00:00:00:00":
        raise BadInput(f"mac_address: {text} is no address", hint="leave it out for one of its own")
    return plain
