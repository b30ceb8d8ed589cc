# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packet filter a host uses for its containers.

nftables, unless iptables is in use on the host already: then there is one place where the administrator finds all
rules. A driver's name says which kind of iptables it is, because each kind has rules of its own in the kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Optional, Protocol

from ...core.errors import HostLacks
from ..command import find
from . import gate, iptables, nftables
from .changes import Present
from .nfnetlink import supported
from .rules import Policy

NFTABLES, IPTABLES = "nftables", "iptables"


class Firewall(Protocol):
    """What every driver can do."""

    looks_up: bool

    def observe(self, bridges: Iterable[str] = ()) -> Present:
        """Our rules as they are in the kernel, as far as they concern these bridges."""

    def look_up(self, ports: Iterable[tuple[str, Policy]]) -> Present:
        """These published ports, each with its owner; all rules where the driver cannot look up (`looks_up`)."""

    def apply(self, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]] = None) -> bool:
        """Make the rules of these owners those of their policies, in one transaction; whether there was any to make."""


def driver(name: str, families: Iterable[int]) -> Firewall:
    """The driver of this name, for the families that are in use."""
    if name == NFTABLES:
        return nftables.Nftables()
    return iptables.Iptables(name.partition("-")[2], families)


def choose(asked: str, recorded: str) -> str:
    """The name of the driver: the one asked for, else the one in use, else what the host has.

    Where the administrator has switched from one kind of iptables to the other, the other is it now.
    """
    if asked == NFTABLES or (not asked and recorded == NFTABLES):
        find("nft", nftables.PACKAGE)
        return NFTABLES
    if asked or recorded:
        return _kind()
    return _automatic()


def _automatic() -> str:
    there = {name: _is_there(name) for name in ("nft", "iptables")}
    if not any(there.values()):
        raise HostLacks(
            "this host has neither nft nor iptables",
            hint="install the package nftables, or apply the role mini_host",
        )
    if there["nft"] and not (there["iptables"] and (gate.gates() or not supported())):
        return NFTABLES
    return _kind()


def _kind() -> str:
    """`iptables-nft`, `iptables-legacy`; versions before 1.8 have one kind and do not name it."""
    program = os.path.basename(os.path.realpath(find("iptables", iptables.PACKAGE)))
    kinds = (kind for kind in ("nft", "legacy") if kind in program and _is_there(f"{IPTABLES}-{kind}-save"))
    return "-".join((IPTABLES, *list(kinds)[:1]))


def _is_there(program: str) -> bool:
    try:
        find(program, "")
    except HostLacks:
        return False
    return True
