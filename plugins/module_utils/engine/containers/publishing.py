# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports a container publishes: those that its task lists, and with `publish_all_ports` all that are exposed.
While it is in no network it publishes none.

A port of the host that is chosen stays the container's: the record remembers it, and only when somebody else has it at
the next start is another one chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ...core.errors import BadInput
from ...core.specs.container import ContainerSpec
from ...core.specs.image import ImageConfig
from ...core.specs.network import PublishedPort
from ...network.ports import parse_exposed
from ..networks.record import Binding
from .record import ContainerRecord


def wanted(spec: ContainerSpec, image: ImageConfig) -> tuple[PublishedPort, ...]:
    """The ports as asked for; those whose port of the host is to be chosen are marked so. Without an address of the
    host they are on that of the first network, if it has one for them."""
    if not spec.networks:
        return ()
    found = [*spec.ports, *(_all_others(spec, image) if spec.publish_all_ports else ())]
    return tuple(sorted(replace(port, host_ip=port.host_ip or spec.host_binding) for port in found))


def _all_others(spec: ContainerSpec, image: ImageConfig) -> list[PublishedPort]:
    listed = {(port.container_port, port.protocol) for port in spec.ports}
    exposed = [_exposed(text) for text in parse_exposed({*spec.exposed_ports, *image.exposed_ports})]
    return [PublishedPort(0, *port) for port in exposed if port not in listed]


def bound(spec: ContainerSpec, bindings: Mapping[str, Binding]) -> ContainerSpec:
    """The specification with what its networks say of published ports; `bindings` are those of each network.

    Where a family is routed, and the container does not have the other, nothing of the host is needed for either.
    """
    its = [bindings.get(entry.name, Binding()) for entry in spec.networks]
    first = {version: next((one for one in its if version in one.versions), None) for version in (4, 6)}
    routed = [version for version, one in first.items() if one and version in one.routed]
    without = [version for version, one in first.items() if one is None] if routed else []
    return replace(spec, host_binding=its[0].host_ip if its else "", routed=tuple(sorted([*routed, *without])))


def of_host(spec: ContainerSpec, ports: Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
    """Those of the ports for which one of the host is needed."""
    return tuple(port for port in ports if not set(port.versions) <= set(spec.routed))


def _exposed(text: str) -> tuple[int, str]:
    port, _slash, protocol = text.partition("/")
    return int(port), protocol


def assigned(ports: tuple[PublishedPort, ...], chosen: Mapping[str, int]) -> tuple[PublishedPort, ...]:
    """The same ports with the choices that were made; those that wait for theirs are left out."""
    found = []
    for port in ports:
        if not port.chosen:
            found.append(port)
        elif chosen.get(port.key):
            found.append(replace(port, host_port=chosen[port.key], host_last=0))
    return tuple(found)


def check_families(ports: Iterable[PublishedPort], versions: Collection[int]) -> None:
    """An address of the host leads to one of the container of the same family: nothing translates between them."""
    for port in ports:
        if not set(port.versions) & set(versions):
            raise BadInput(
                f"cannot publish {port.show()}: no network of the container has IPv{port.versions[0]}",
                hint="give the network that family, or publish on an address of the other",
            )


def published(record: ContainerRecord) -> list[tuple[PublishedPort, str]]:
    """Each published port with the addresses it leads to: of each family that in the first network that has it. One
    without a port of the host is open at that address."""
    places = [place for _network, place in record.endpoints()]
    first = {4: next((place.ipv4 for place in places if place.ipv4), ""),
             6: next((place.ipv6 for place in places if place.ipv6), "")}  # fmt: skip
    spec = record.spec
    there = {version: ip for version, ip in first.items() if ip}
    opened = [replace(port, host_port=0, host_last=0) for port in wanted(spec, record.image_config)]
    return [
        (port, ip)
        for version, ip in there.items()
        for port in (opened if version in spec.routed else of(record))
        if version in port.versions
    ]


def of(record: ContainerRecord) -> tuple[PublishedPort, ...]:
    """The container's ports, as they are on the host."""
    return assigned(of_host(record.spec, wanted(record.spec, record.image_config)), record.host_ports)
