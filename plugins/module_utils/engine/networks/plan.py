# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task asks of a network, and what is there, to the steps between. Pure: nothing is read or written."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Iterator
from typing import Any, Optional

from ...core.errors import Conflict
from ...core.plan import Impact, Plan, Step
from ...core.specs import NetworkSpec
from ...network import bridge, pools
from ...network.bridge import Bridge
from ...network.firewall.changes import right
from ...network.firewall.rules import HOST, Rule, of_network
from .observe import Observation
from .record import NetworkRecord

KEPT = ("subnet", "gateway", "internal", "mtu", "labels")
"""Fields that an existing network keeps when the task does not mention them."""


def plan_present(wanted: NetworkSpec, given: Collection[str], seen: Observation, *, force: bool = False) -> Plan:
    """The network exists and is as asked. `given` are the options that the task mentions."""
    spec = resolve(wanted, given, seen)
    _check_bridge(spec, seen)
    before = seen.record.spec if seen.record else None
    moved = before is not None and (before.subnet, before.gateway) != (spec.subnet, spec.gateway)
    if before is None or moved:
        pools.check_overlap(spec.subnet, dict(seen.taken))
    if moved and seen.members and not force:
        raise _in_use(seen, "change the addresses of", "give force: true to disconnect them first")
    return Plan.of([*_record_steps(spec, seen, moved), *_kernel_steps(spec, seen)])


def plan_repair(record: NetworkRecord, seen: Observation) -> Plan:
    """The network is as its record says."""
    _check_bridge(record.spec, seen)
    return Plan.of(_kernel_steps(record.spec, seen))


def plan_absent(seen: Observation, *, force: bool = False) -> Plan:
    """Nothing is left of the network. The record goes last: whatever is interrupted, the next run knows what to do."""
    if seen.members and not force:
        raise _in_use(seen, "remove", "remove them first, or give force: true to disconnect them")
    ours = seen.bridge is not None and seen.bridge.kind == "bridge" and seen.bridge.alias in ("", seen.alias)
    known = seen.directory or (ours and seen.bridge is not None and bool(seen.bridge.alias))
    steps = _disconnect_steps(seen) if known else []
    if seen.bridge_name in seen.rules.owners():
        steps.append(_step("remove-rules", seen.bridge_name, seen))
    if ours and known:
        steps.append(_step("delete-bridge", seen.bridge_name, seen))
    if seen.last and seen.directory:
        steps.append(_step("give-back-forwarding", "ip_forward", seen))
    if seen.directory:
        steps.append(_step("remove-network", seen.name, seen))
    return Plan.of(steps)


def resolve(wanted: NetworkSpec, given: Collection[str], seen: Observation) -> NetworkSpec:
    """The specification with nothing left open: what is not given is kept, or chosen."""
    spec = wanted
    if seen.record is not None:
        kept = {name: getattr(seen.record.spec, name) for name in KEPT if name not in given}
        if "subnet" in given and "gateway" not in given and spec.subnet != seen.record.spec.subnet:
            del kept["gateway"]
        spec = dataclasses.replace(spec, **kept)
    elif not spec.subnet:
        spec = _recovered(spec, seen)
    if not spec.subnet:
        spec = dataclasses.replace(spec, subnet=_choose(seen))
    subnet = pools.parse_subnet(spec.subnet)
    return dataclasses.replace(spec, subnet=subnet, gateway=pools.parse_gateway(spec.gateway, subnet))


def _recovered(spec: NetworkSpec, seen: Observation) -> NetworkSpec:
    """The addresses of a bridge of ours whose record was lost: containers may be using them."""
    state = seen.bridge
    if state is None or state.alias != seen.alias or len(state.addresses) != 1:
        return spec
    gateway = ipaddress.IPv4Interface(state.addresses[0])
    return dataclasses.replace(spec, subnet=str(gateway.network), gateway=str(gateway.ip))


def _choose(seen: Observation) -> str:
    hidden = {f"{ip}/32": f"the name server {ip}" for ip in seen.nameservers}
    return pools.choose({**seen.taken, **hidden})


def _record_steps(spec: NetworkSpec, seen: Observation, moved: bool) -> Iterator[Step]:
    before = seen.record.spec if seen.record else None
    if seen.corrupt:
        yield _step("set-record-aside", spec.name, seen, "it cannot be read")
    if before is None:
        yield _step("write-network", spec.name, seen, f"subnet {spec.subnet}", spec=spec)
        return
    if moved:
        yield from _disconnect_steps(seen)
        yield _step("drop-leases", spec.name, seen, f"subnet {before.subnet} → {spec.subnet}", impact=Impact.RECREATE)
    if before != spec:
        impact = Impact.RECREATE if moved else Impact.LIVE
        yield _step("write-network", spec.name, seen, _difference(before, spec), impact, spec=spec)


def _kernel_steps(spec: NetworkSpec, seen: Observation) -> Iterator[Step]:
    """The rules come before the bridge, so that it is protected from its first moment; the address, which brings the
    bridge up, after its settings."""
    wanted, state = _bridge(spec, seen), seen.bridge
    rules = of_network(wanted.name, spec.subnet, internal=spec.internal)
    if not (right(seen.rules, wanted.name, rules) and right(seen.rules, "host", HOST)):
        yield _step("install-rules", wanted.name, seen, _why(wanted.name, seen), rules=rules)
    if state is None or state.alias != wanted.alias or (wanted.mtu and state.mtu != wanted.mtu):
        yield _step("create-bridge" if state is None else "configure-bridge", wanted.name, seen, bridge=wanted)
    if state is None or not state.sysctls:
        yield _step("set-bridge-sysctls", wanted.name, seen, bridge=wanted)
    if state is None or not bridge.address_is_right(state, wanted):
        yield _step("set-gateway", wanted.name, seen, f"{wanted.gateway}/{wanted.network.prefixlen}", bridge=wanted)
    if not seen.forwarding:
        yield _step("allow-forwarding", "ip_forward", seen, "0 → 1")


def _bridge(spec: NetworkSpec, seen: Observation) -> Bridge:
    return Bridge(seen.bridge_name, seen.alias, spec.subnet, spec.gateway, spec.mtu)


def _check_bridge(spec: NetworkSpec, seen: Observation) -> None:
    if seen.bridge is not None:
        bridge.check_ours(seen.bridge, _bridge(spec, seen))


def _why(owner: str, seen: Observation) -> str:
    return "they differ from what the network needs" if owner in seen.rules.owners() else ""


def _disconnect_steps(seen: Observation) -> list[Step]:
    return [
        _step("disconnect-container", container_id[:12], seen, f"it has {ip}", container_id=container_id)
        for container_id, ip in sorted(seen.members.items())
    ]


def _difference(before: NetworkSpec, after: NetworkSpec) -> str:
    """`mtu 0 → 1400`."""
    pairs = ((item.name, getattr(before, item.name), getattr(after, item.name)) for item in dataclasses.fields(after))
    return ", ".join(f"{name} {old} → {new}" for name, old, new in pairs if old != new)


def _step(
    name: str, target: str, seen: Observation, reason: str = "", impact: Impact = Impact.LIVE, **detail: Any
) -> Step:
    return Step(name, target, reason, impact, {"seen": seen, **detail})


def _in_use(seen: Observation, verb: str, way_out: str) -> Conflict:
    names = sorted(seen.titles.values())
    more = len(seen.members) - len(names)
    listed = ", ".join([*names, *([f"{more} more"] if more else [])])
    return Conflict(f"cannot {verb} the network {seen.name}: containers are attached ({listed})", hint=way_out)


def rules_of(record: Optional[NetworkRecord]) -> tuple[Rule, ...]:
    """The rules a recorded network has; none when there is no record."""
    return of_network(record.bridge, record.spec.subnet, internal=record.spec.internal) if record else ()
