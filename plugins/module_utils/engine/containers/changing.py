# SPDX-License-Identifier: GPL-3.0-or-later
"""What is changed, and what is mended, without a restart. Pure."""

from __future__ import annotations

from ...core.errors import NotFound
from ...core.plan import Step
from ...core.specs.container import ContainerSpec
from . import publishing, rewiring, upkeep
from .compare import Wish, changes, limit_changes
from .observe import Observation

# Files of the container that are rewritten where they are.
FILES = ("dns_servers", "dns_search_domains", "dns_opts", "etc_hosts")
LIVE = ("labels", "stop_signal", "stop_timeout", "exposed_ports", *upkeep.TOLD, *FILES)


def live_changes(wish: Wish, seen: Observation, wanted: ContainerSpec) -> list[Step]:
    """What needs no restart. The kernel comes first and the record after it: a crash between is seen by the next run,
    and what the kernel refuses is taken back by the record.
    """
    record = seen.record
    if record is None:
        return []
    wires = rewiring.steps(record, wanted, seen.misplaced, running=seen.running)
    if wanted == record.spec and not wires:
        return upkeep.tell(seen, wanted)
    if seen.missing and not wish.presume:
        raise NotFound(f"cannot change {wanted.name}: {seen.missing[0]}", hint="make it first, or leave it out")
    before, name = record.spec, wanted.name
    ports = publishing.wanted(wanted, record.image_config)
    known = publishing.wanted(before, record.image_config)
    kept = publishing.of_host(wanted, ports)
    dropped = tuple(port for port in publishing.of_host(before, known) if port not in kept)
    moved = ports != known or (bool(ports) and before.routed != wanted.routed)
    shown = ", ".join(port.show() for port in ports) or "none"
    detail = {"spec": wanted, "dropped": dropped, "before": record}
    steps = upkeep.tell(seen, wanted)
    if seen.running and moved:
        steps.append(Step("claim-ports", name, shown, detail=detail))
    steps += wires
    if seen.running and (moved or (wires and ports)):
        steps.append(Step("publish", name, shown, detail=detail))
    reasons = [
        *changes(before, wanted, [*LIVE, "networks", "ports", "publish_all_ports", "host_binding", "routed"]),
        *limit_changes(before.limits, wanted.limits),
    ]
    if seen.running and wanted.limits != before.limits:
        reason = "; ".join(limit_changes(before.limits, wanted.limits))
        steps.append(Step("set-limits", name, reason, detail={"spec": wanted}))
    steps.append(Step("write-record", name, "; ".join(reasons), detail={"spec": wanted}))
    if seen.running and (wires or changes(before, wanted, [*FILES, "networks"])):
        steps.append(Step("write-hosts", name, "its names and addresses have changed"))
    return steps


def mend(seen: Observation, wanted: ContainerSpec) -> list[Step]:
    """What somebody or something else has changed under a running container."""
    name, record = wanted.name, seen.record
    steps = list(seen.network_repair)
    if record is None:
        return steps
    wired = rewiring.changed(record, wanted, seen.misplaced)
    lost = [network for network in seen.lost_networks if network not in wired]
    steps.extend(Step("connect", network, f"for {name}: its interface is gone") for network in lost)
    ports = publishing.wanted(wanted, record.image_config)
    if seen.lost_ports and not wired and ports == publishing.wanted(record.spec, record.image_config):
        steps.append(Step("claim-ports", name))
        steps.append(Step("publish", name, "; ".join(seen.lost_ports)))
    if seen.limit_drift and wanted.limits == record.spec.limits:
        steps.append(Step("set-limits", name, "; ".join(seen.limit_drift)))
    if seen.lost_secrets:
        steps.append(Step("write-secrets", name, ", ".join(seen.lost_secrets) + " gone from memory"))
    if seen.lost_files and wanted == record.spec:
        steps.append(Step("write-hosts", name, ", ".join(seen.lost_files) + " out of date"))
    return steps
