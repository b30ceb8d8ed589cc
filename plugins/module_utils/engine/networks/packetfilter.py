# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter of a state root: chosen when it gets its first network, remembered, and one for all of them.

What a container publishes is written down beside its running state. So everything can be put back at once, whoever
finds that it is gone: the records say what the networks need, and those files what the containers that run do.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from ...core.errors import CorruptRecord
from ...core.paths import Paths
from ...linux.files import locked
from ...network.firewall.changes import Present
from ...network.firewall.choice import Firewall, choose, driver
from ...network.firewall.rules import Lan, Policy, Translation
from ..records import load, names_in, save
from .host import remember, remembered
from .record import every, lan_of


@dataclass(frozen=True)
class Published:
    """What the packet filter was told last of a container that runs."""

    translations: tuple[Translation, ...] = ()


def in_use(paths: Paths) -> str:
    """The driver that has our rules; empty before there were any."""
    before = remembered(paths)
    return before.firewall if before else ""


class Sight:
    """The packet filter as it is, for one task. Where the driver cannot look things up, everything is listed once.

    `asked` is the driver that the task wants; `ipv6` whether it will need rules for IPv6.
    """

    def __init__(self, paths: Paths, asked: str = "", *, ipv6: bool = False) -> None:
        self._paths, self._asked, self._ipv6 = paths, asked, ipv6

    @cached_property
    def _driver(self) -> Firewall:
        return driver(choose(self._asked, in_use(self._paths)), _families(self._paths, self._ipv6))

    @cached_property
    def _everything(self) -> Present:
        return self._driver.observe()

    def network(self, bridge: str) -> Present:
        """What all need, the rules of the network, and who has any."""
        return self._driver.observe([bridge]) if self._driver.looks_up else self._everything

    def ports(self, container_id: str, wanted: tuple[Translation, ...]) -> Present:
        """The container's published ports: those wanted, and those that it had last."""
        if not self._driver.looks_up:
            return self._everything
        return self._driver.look_up([(container_id, wanted), (container_id, last_published(self._paths, container_id))])

    def owners(self) -> set[str]:
        """Everyone who has rules, whatever the state root."""
        return self._everything.owners()


def _families(paths: Paths, ipv6: bool) -> tuple[int, ...]:
    """IPv6 costs a command of its own where the driver is iptables, so that it waits for the first network with it."""
    before = remembered(paths)
    return (4, 6) if ipv6 or (before and 6 in before.families) else (4,)


def apply_rules(
    paths: Paths, wanted: Mapping[str, Policy], before: Optional[Mapping[str, Policy]] = None, *, name: str = ""
) -> bool:
    """Make the rules of these owners those of their policies, by the driver `name`, or by the one in use."""
    with locked(paths.lock("host", "firewall"), "the firewall"):
        chosen = name or choose("", in_use(paths))
        return _remembering(paths, chosen, wanted).apply(wanted, before)


def restore_rules(paths: Paths, name: str) -> None:
    """All rules of this state root, by the driver `name`; where another had them, it has none afterwards."""
    with locked(paths.lock("host", "firewall"), "the firewall"):
        old, wanted = in_use(paths), everything(paths)
        _remembering(paths, name, wanted).apply(wanted)
        if old not in ("", name):
            nothing: dict[str, Policy] = {
                owner: () if isinstance(policy, tuple) else None for owner, policy in wanted.items()
            }
            driver(old, _families(paths, False)).apply(nothing)


def _remembering(paths: Paths, name: str, wanted: Mapping[str, Policy]) -> Firewall:
    """The driver; that it has our rules is known before it has any."""
    lans = [policy for policy in wanted.values() if isinstance(policy, Lan)]
    families = _families(paths, any(6 in lan.families for lan in lans))
    if any(wanted.values()):
        remember(paths, firewall=name, families=families)
    return driver(name, families)


def everything(paths: Paths) -> dict[str, Policy]:
    """Who is to have which rules."""
    networks: dict[str, Policy] = {record.bridge: lan_of(record.bridge, record.spec) for record in every(paths)}
    containers: dict[str, Policy] = {name: last_published(paths, name) for name in names_in(paths.running)}
    return {**networks, **{name: policy for name, policy in containers.items() if policy}}


def last_published(paths: Paths, container_id: str) -> tuple[Translation, ...]:
    """What the packet filter was told last of a container."""
    with contextlib.suppress(CorruptRecord):
        found = load(Published, paths.published(container_id))
        return found.translations if found else ()
    return ()


def write_down(paths: Paths, container_id: str, published: tuple[Translation, ...]) -> None:
    """What the packet filter has just been told."""
    if published:
        save(Published(published), paths.published(container_id))
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.published(container_id))
