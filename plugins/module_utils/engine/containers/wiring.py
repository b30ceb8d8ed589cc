# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's places in networks, its ports and its limits: given to it, changed while it runs, and taken back.

Each step can be part of a start, or of a change; of a change the detail has the specification that is wanted, and the
record says still what was before. A start needs no more than that a new container is removed whole, and one that was
there is put back to rest; a change is taken back here, by the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Callable, Optional

from ...core.paths import Paths
from ...core.plan import Action, Step
from ...core.specs.container import ContainerSpec
from ...core.specs.network import Attachment, PublishedPort
from ...linux.cgroups.detect import open_cgroup
from ..networks import attach
from ..networks.record import NetworkRecord
from . import bundle, hosts, ports, publishing
from .record import ContainerRecord, Endpoint, behind, whole
from .rewiring import plug, routes


class Wiring:
    """Bound to one container: `record` reads its record, `save` writes it."""

    def __init__(
        self, paths: Paths, record: Callable[[], ContainerRecord], save: Callable[[ContainerRecord], None]
    ) -> None:
        self.paths = paths
        self.record = record
        self.save = save

    def table(self) -> Mapping[str, Action]:
        """Step name → action, and how it is taken back."""
        return {
            "lease-address": Action(self.lease, self.unlease),
            "connect": Action(self.connect, self.unconnect),
            "disconnect": Action(self.disconnect, self.reconnect),
            "claim-ports": Action(self.claim, self.unclaim),
            "set-limits": Action(self.set_limits, self.reset_limits),
        }

    def _wanted(self, step: Step) -> ContainerSpec:
        spec: ContainerSpec = step.detail.get("spec", self.record().spec)
        return spec

    # places in networks

    def lease(self, step: Step) -> None:
        """An address that stays the container's until it leaves the network, and the number of its interface."""
        record, name = self.record(), step.target
        (asked,) = (entry for entry in self._wanted(step).networks if entry.name == name)
        network = attach.load(self.paths, name)
        old = whole(self.paths, behind(self.paths.name_aside(record.name)))
        wanted = self._inherited(old, network, asked)
        heir_of = old.id if old else ""
        leased = attach.lease(self.paths, network, record.id, *wanted, mac=asked.mac_address, heir_of=heir_of)
        taken = {endpoint.index for endpoint in record.networks.values()}
        free = next(index for index in range(len(taken) + 1) if index not in taken)
        index = record.networks[name].index if name in record.networks else free
        self._place(record, name, Endpoint(leased.ipv4, index, leased.ipv6))

    def _inherited(self, old: Optional[ContainerRecord], network: NetworkRecord, asked: Attachment) -> tuple[str, ...]:
        """A container that replaces another one has its addresses, unless the task or the network says otherwise."""
        wanted = (asked.ipv4_address, asked.ipv6_address)
        kept = old.networks.get(network.name) if old else None
        if old is None or kept is None or not kept.fits(asked) or attach.misplaced(network, kept.ips):
            return wanted
        attach.release(self.paths, network.name, old.id)
        return kept.ips

    def _place(self, record: ContainerRecord, network: str, endpoint: Optional[Endpoint]) -> None:
        """Note the place in the network, or that there is none."""
        networks = {name: place for name, place in record.networks.items() if name != network}
        if endpoint is None:
            attach.release(self.paths, network, record.id)
        else:
            networks[network] = endpoint
        self.save(replace(record, networks=networks))

    def unlease(self, step: Step) -> None:
        """The address it had, or none."""
        if "before" not in step.detail:
            return
        record, before = self.record(), step.detail["before"]
        if before is not None:
            attach.lease(self.paths, attach.load(self.paths, step.target), record.id, *before.ips)
        self._place(record, step.target, before)

    def connect(self, step: Step) -> None:
        """An interface in the network, with the container's address."""
        self._lay(step.target, self._wanted(step))

    def _lay(self, name: str, spec: ContainerSpec) -> None:
        record = self.record()
        endpoint = record.networks[name]
        inside = plug(endpoint, routes(spec.networks).get(name))
        netns = self.paths.netns(record.id)
        attach.connect(self.paths, attach.load(self.paths, name), record.id, netns, inside)

    def unconnect(self, step: Step) -> None:
        """The cable that was laid is taken away; those of a start go with their namespace."""
        if "spec" in step.detail:
            attach.disconnect(self.paths, step.target, self.record().id)

    def disconnect(self, step: Step) -> None:
        """Take the cable away; who leaves the network for good gives its address back."""
        record = self.record()
        attach.disconnect(self.paths, step.target, record.id)
        if step.detail["leave"]:
            self._place(record, step.target, None)
            hosts.tell_peers(self.paths, [step.target])

    def reconnect(self, step: Step) -> None:
        """The cable that was taken away is laid again, with the address it had."""
        self.unlease(step)
        if step.detail["running"]:
            self._lay(step.target, self.record().spec)

    # ports

    def claim(self, step: Step) -> None:
        """Before anything is started. Those that are to be chosen are, and remembered."""
        record = self.record()
        spec = self._wanted(step)
        wanted = publishing.wanted(spec, record.image_config)
        networks = [attach.load(self.paths, entry.name).spec for entry in spec.networks]
        versions = {entry.version for network in networks for entry in network.ipam_config}
        publishing.check_families(wanted, versions)
        needed = publishing.of_host(spec, wanted)
        claimed = ports.claim(self.paths, record.id, needed, record.host_ports, versions - set(spec.routed))
        chosen = {**record.host_ports, **claimed}
        if chosen != record.host_ports:
            self.save(replace(record, host_ports=chosen))

    def unclaim(self, step: Step) -> None:
        """Those that it had not."""
        if "spec" in step.detail:
            record = self.record()
            wanted = publishing.wanted(step.detail["spec"], record.image_config)
            kept = publishing.of(record)
            more = [port for port in publishing.assigned(wanted, record.host_ports) if port not in kept]
            ports.release(self.paths, record.id, more)

    def to_publish(self, step: Step) -> list[tuple[PublishedPort, str]]:
        """The ports that the firewall's rules for the container are to be for."""
        return publishing.published(replace(self.record(), spec=self._wanted(step)))

    def published(self, step: Step) -> None:
        """The rules are there: what they are not for any more is given up."""
        record = replace(self.record(), spec=self._wanted(step))
        ports.release(self.paths, record.id, publishing.assigned(step.detail.get("dropped", ()), record.host_ports))
        listed = {port.key for port in publishing.wanted(record.spec, record.image_config)}
        kept = {name: port for name, port in record.host_ports.items() if name in listed}
        if kept != record.host_ports:
            self.save(replace(self.record(), host_ports=kept))

    def republish(self, step: Step) -> None:
        """The rules for the ports it had, at the address it had: its place in the network is given back after this."""
        if "before" in step.detail:
            record = step.detail["before"]
            ports.claim(self.paths, record.id, publishing.of(record), {})
            attach.publish(self.paths, {record.id: publishing.published(record)})

    # limits

    def set_limits(self, step: Step) -> None:
        """Limits of the running container, in place."""
        self._limit(self._wanted(step))

    def reset_limits(self, step: Step) -> None:
        """Those that it had."""
        if "spec" in step.detail:
            self._limit(self.record().spec)

    def _limit(self, spec: ContainerSpec) -> None:
        open_cgroup(bundle.cgroup_path(self.record().id, spec.cgroup_parent)).update(bundle.resources(spec))
