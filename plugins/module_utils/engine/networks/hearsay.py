# SPDX-License-Identifier: GPL-3.0-or-later
"""What other hosts say of their containers' names, as far as it can be believed. Pure.

A host speaks for itself: it names addresses of its own slices only. What one of them gets wrong is left out with a
word about it, and is no reason not to listen to the others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from ...core.errors import BadInput
from ...core.names import check_name
from ...core.specs.network import Vxlan
from ...network import inet, slices
from ...network.hosts import Far

SHOWN, WIDTH = 5, 60
Names = Mapping[str, tuple[str, ...]]
Nets = Sequence[Union[ipaddress.IPv4Network, ipaddress.IPv6Network]]


class Heard(NamedTuple):
    """What is believed, and a sentence about each host that said something else as well."""

    names: Far
    doubts: tuple[str, ...]


def sift(vxlan: Vxlan, told: Mapping[str, Any]) -> Heard:
    """`told` is anything by host, for the host that the task is for is the one that knows what they are."""
    stranger = next((host for host in told if host not in vxlan.hosts), None)
    if stranger is not None:
        raise BadInput(f"names: {stranger} is none of the hosts", hint="give the names that they have in vxlan.hosts")
    names: dict[str, Names] = {}
    doubts = []
    for host in sorted(told.keys() - {vxlan.host}):
        if not isinstance(told[host], Mapping):
            doubts.append(f"names: {_cut(told[host])} of {host} is no table, and nothing of it is taken")
            continue
        nets = [ipaddress.ip_network(part.subnet) for part in slices.slices_of(vxlan, host)]
        names[host], wrong = _sift_table(told[host], nets)
        doubts += [f"names: left out of what {host} says: {_listed(wrong)}"] if wrong else []
    return Heard(names, tuple(doubts))


def _sift_table(table: Mapping[Any, Any], nets: Nets) -> tuple[Names, list[str]]:
    """The names that can be, with their addresses that can be; and what is wrong with the others."""
    names: dict[str, tuple[str, ...]] = {}
    wrong: list[str] = []
    for name in sorted(table, key=str):
        try:
            check_name("container", name)
        except BadInput as exc:
            wrong.append(_cut(exc.message))
            continue
        value = table[name]
        found = {
            each: _fault(each, nets) for each in _addresses(value if isinstance(value, (list, tuple)) else [value])
        }
        wrong += [f"{_cut(each)} of {name} {fault}" for each, fault in found.items() if fault]
        right = tuple(inet.plain(each) for each, fault in found.items() if not fault)
        names.update({name: right} if right else {})
    return names, wrong


def _addresses(value: Sequence[Any]) -> Iterator[str]:
    return (each if isinstance(each, str) else repr(each) for each in value)


def _fault(address: str, nets: Nets) -> str:
    try:
        found = ipaddress.ip_address(inet.plain(address))
    except ValueError:
        return "is no IP address"
    return "" if any(found in net for net in nets) else f"is not in its slice, {', '.join(map(str, nets))}"


def _listed(wrong: Sequence[str]) -> str:
    more = len(wrong) - SHOWN
    return "; ".join([*wrong[:SHOWN], *([f"{more} more"] if more > 0 else [])])


def _cut(value: object) -> str:
    """Somebody else's words, short and in one line."""
    text = value if isinstance(value, str) else repr(value)
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= WIDTH else f"{shown[:WIDTH]}…"
