# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of containers on the host's addresses. They live in the firewall alone: a process need not know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

from ...core.paths import Paths
from ...core.specs import PublishedPort
from ...linux.files import locked
from ...network.conntrack import forget_udp
from ...network.firewall.changes import Present, right, udp_ports
from ...network.firewall.iptables import Iptables
from ...network.firewall.rules import of_container


def rules_present() -> Present:
    """The firewall as it is: read it once, and pass it to the observations of one task."""
    return Iptables().observe()


def publish(paths: Paths, ports: Mapping[str, Iterable[tuple[PublishedPort, str]]]) -> None:
    """Make these the published ports of each container, all others of it gone: one transaction for all containers."""
    wanted = {container_id: of_container(container_id, its) for container_id, its in ports.items()}
    with locked(paths.lock("host", "firewall"), "the firewall"):
        forget_udp(udp_ports(Iptables().apply(wanted)))


def unpublish(paths: Paths, container_ids: Iterable[str]) -> None:
    """Take all published ports of the containers away."""
    publish(paths, dict.fromkeys(container_ids, ()))


def published(
    paths: Paths,
    container_id: str,
    ports: Iterable[tuple[PublishedPort, str]],
    present: Optional[Present] = None,
) -> list[str]:
    """What is wrong with the container's published ports, a phrase each; empty when all is right."""
    listed = sorted(set(ports))
    present = rules_present() if present is None else present
    wanted = of_container(container_id, listed)
    if right(present, container_id, wanted):
        return []
    tags = {tag for _table, _chain, tag in present.tags(container_id)}
    missing = [rule for rule in wanted if rule.tag not in tags]
    return [f"the rule for {_shown(rule.args)} is missing" for rule in missing] or ["rules that are not wanted"]


def _shown(args: Sequence[str]) -> str:
    return f"{args[args.index('--dport') + 1]}/{args[args.index('-p') + 1]}"
