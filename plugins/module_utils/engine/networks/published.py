# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of containers on the host's addresses. They live in the firewall alone: a process need not know of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...core.paths import Paths
from ...core.specs.network import PublishedPort
from ...network.conntrack import forget_udp
from ...network.firewall.rules import translations, udp_ports
from .packetfilter import Sight, apply_rules, last_published, write_down

Ports = Iterable[tuple[PublishedPort, str]]


def publish(paths: Paths, ports: Mapping[str, Ports]) -> None:
    """Make these the published ports of each container, all others of it gone: one transaction for all containers.

    A flow of UDP that knows an older way is forgotten, or its client would never notice.
    """
    before = {container_id: last_published(paths, container_id) for container_id in ports}
    wanted = {container_id: translations(its) for container_id, its in ports.items()}
    if apply_rules(paths, wanted, before):
        forget_udp(udp_ports((*before.values(), *wanted.values())))
    for container_id, published_now in wanted.items():
        if published_now != before[container_id]:
            write_down(paths, container_id, published_now)


def unpublish(paths: Paths, container_ids: Iterable[str]) -> None:
    """Take all published ports of the containers away."""
    publish(paths, dict.fromkeys(container_ids, ()))


def evict(paths: Paths, container_id: str) -> None:
    """Take away whatever a container that is gone has left."""
    if container_id:
        apply_rules(paths, {container_id: ()})
        write_down(paths, container_id, ())


def published(container_id: str, ports: Ports, sight: Sight) -> list[str]:
    """What is wrong with the container's published ports, a phrase each; empty when all is right."""
    wanted = translations(ports)
    present = sight.ports(container_id, wanted)
    if present.right(container_id, wanted):
        return []
    missing = {rule.tag for rule in present.missing(container_id, wanted)}
    rules = {each: {rule.tag for rule in present.dialect.rules_of(container_id, (each,))} for each in wanted}
    lost = [f"the rule for {each.show()} is missing" for each, tags in rules.items() if tags & missing]
    return lost or ["rules that are not wanted"]
