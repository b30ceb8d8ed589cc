# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task asks of a network, and what is there, to the steps between. Pure: nothing is read or written."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Iterator
from typing import Any, Optional

from ...core.errors import BadInput, Conflict, HostLacks
from ...core.plan import Impact, Plan, Step
from ...core.specs.network import NetworkSpec, Subnet
from ...network import bridge, pools, veth
from ...network.bridge import Bridge
from ...network.hosts import Far
from ...network.overlay import Overlay, check_ours, is_ours, is_right
from . import overlay
from .observe import Observation
from .record import BRIDGE, GATEWAY_MODES, HOST_BINDING, ISOLATED, NetworkRecord, lan_of, with_mode

LEAST_MTU6 = 1280  # RFC 8200, section 5
SHOWN = 10  # a network may have a thousand members
KEPT = ("internal", "mtu", "labels", "enable_ipv4", "enable_ipv6", "isolate", "driver_options", "vxlan")
"""Fields that an existing network keeps when the task does not mention them."""
MODES = ("default", "host", "none")
"""What a container's `network_mode` calls something else than a network."""


def plan_present(
    wanted: NetworkSpec, given: Collection[str], seen: Observation, *, names: Optional[Far] = None, force: bool = False
) -> Plan:
    """The network exists and is as asked. `given` are the options that the task mentions; `names`, if it does, the
    containers on other hosts."""
    spec = resolve(wanted, given, seen)
    _check_ours(spec, seen)
    _check_host(spec, seen)
    _check_binding(spec, seen)
    before = seen.record.spec if seen.record else None
    hit = _hit(spec, seen)
    for subnet in spec.subnets:
        if before is None or subnet not in before.subnets:
            pools.check_overlap(subnet, seen.taken)
    if hit and not force:
        raise _in_use(seen, hit, "take their addresses from", "give force: true to give them others")
    known = overlay.names_of(spec, names, seen.names)
    return Plan.of(
        [
            *_record_steps(spec, seen, hit),
            *_kernel_steps(spec, seen),
            *_lease_steps(spec, seen, hit),
            *_name_steps(known, seen),
        ]
    )


def plan_repair(record: NetworkRecord, seen: Observation) -> Plan:
    """The network is as its record says."""
    _check_ours(record.spec, seen)
    _check_host(record.spec, seen)
    return Plan.of(_kernel_steps(record.spec, seen))


def plan_absent(
    seen: Observation, *, force: bool = False, leaving: Collection[str] = (), restored: bool = False
) -> Plan:
    """Nothing is left of the network. The record goes last: whatever is interrupted, the next run knows what to do.

    By then those who are `leaving` will have left, and its rules are `restored` if somebody took them away.
    """
    if seen.members and not force:
        raise _in_use(seen, seen.members, "remove", "remove them first, or give force: true to disconnect them")
    ours = seen.bridge is not None and seen.bridge.kind == "bridge" and seen.bridge.alias in ("", seen.alias)
    known = seen.directory or (ours and seen.bridge is not None and bool(seen.bridge.alias))
    steps = _disconnect_steps(seen, seen.members.keys() - set(leaving)) if known else []
    if restored or seen.bridge_name in seen.rules.owners():
        steps.append(_step("remove-rules", seen.bridge_name, seen))
    if seen.overlay is not None and is_ours(seen.overlay, seen.alias):
        steps.append(_step("delete-vxlan", overlay.device_name(seen.bridge_name), seen))
    if ours and known:
        steps.append(_step("delete-bridge", seen.bridge_name, seen))
    if seen.last and seen.directory:
        steps.append(_step("give-back-forwarding", "ipv4, ipv6", seen))
    if seen.directory:
        steps.append(_step("remove-network", seen.name, seen))
    return Plan.of(steps)


def resolve(wanted: NetworkSpec, given: Collection[str], seen: Observation) -> NetworkSpec:
    """The specification with nothing left open: what is not given is kept, or chosen."""
    if seen.record is None and wanted.name in MODES:
        raise BadInput(
            f"the name {wanted.name} is no network's: network_mode has another meaning for it", hint="give another name"
        )
    before = seen.record.spec if seen.record else wanted
    spec = dataclasses.replace(wanted, **{name: getattr(before, name) for name in KEPT if name not in given})
    if seen.record is not None and before.driver != spec.driver:
        raise Conflict(
            f"the network {spec.name} has the driver {before.driver}",
            hint=f"give driver: {before.driver}, or remove it first",
        )
    if spec.driver == "vxlan" and spec.vxlan is None:
        raise BadInput(f"vxlan: the network {spec.name} is new, and needs to be told its hosts", hint="give vxlan")
    if spec.vxlan is not None:
        spec = dataclasses.replace(spec, mtu=overlay.mtu_of(spec, seen.underlay, given))
    elif seen.record is None and not spec.mtu:
        spec = dataclasses.replace(spec, mtu=seen.mtu)
    _check_mtu(spec)
    _check_modes(spec)
    versions = [version for version, enabled in ((4, spec.enable_ipv4), (6, spec.enable_ipv6)) if enabled]
    if not versions:
        raise BadInput(f"the network {spec.name} would have no addresses", hint="give it enable_ipv4 or enable_ipv6")
    return dataclasses.replace(
        spec, ipam_config=tuple(entry for version in versions for entry in _subnets(spec, version, seen))
    )


def _check_modes(spec: NetworkSpec) -> None:
    """Who is to reach others, on this host or another, needs the host for it."""
    alone = with_mode(spec, ISOLATED)
    if alone and (spec.vxlan or not spec.internal):
        why = "a network over many hosts cannot be so" if spec.vxlan else "only an internal network can be so"
        raise BadInput(
            f"driver_options: {GATEWAY_MODES[alone[0]]}: {ISOLATED}, but {why}",
            hint="leave it out" if spec.vxlan else "give internal: true as well",
        )


def _check_mtu(spec: NetworkSpec) -> None:
    if spec.enable_ipv6 and 0 < spec.mtu < LEAST_MTU6:
        raise BadInput(
            f"mtu: {spec.mtu} is too small for IPv6", hint=f"give {LEAST_MTU6} or more, or leave enable_ipv6 out"
        )


def _subnets(spec: NetworkSpec, version: int, seen: Observation) -> Iterator[Subnet]:
    """Those of one family that the task gives; else those that are there; else a free one."""
    before = seen.record.spec.of_family(version) if seen.record else _recovered(version, seen)
    chosen = spec.of_family(version) or before or (Subnet(_choose(version, seen)),)
    gateways = {entry.subnet: entry.gateway for entry in before}
    for entry in chosen:
        gateway = entry.gateway or gateways.get(entry.subnet, "")
        yield dataclasses.replace(entry, gateway=pools.parse_gateway(gateway, entry.subnet))


def _recovered(version: int, seen: Observation) -> tuple[Subnet, ...]:
    """The addresses of a bridge of ours whose record was lost: containers may be using them."""
    state = seen.bridge
    if state is None or state.alias != seen.alias:
        return ()
    gateways = [ipaddress.ip_interface(address) for address in state.addresses]
    return tuple(Subnet(str(own.network), gateway=str(own.ip)) for own in gateways if own.version == version)


def _choose(version: int, seen: Observation) -> str:
    hidden = {*seen.taken, *seen.nameservers}
    return pools.choose(hidden) if version == 4 else pools.choose6(hidden, seen.identity, seen.name)


def _hit(spec: NetworkSpec, seen: Observation) -> list[str]:
    """The containers that have an address which the network will not have for them."""
    nets = [ipaddress.ip_network(subnet) for subnet in spec.subnets]
    reserved = {ip for entry in spec.ipam_config for ip in (entry.gateway, *entry.aux_addresses.values())}

    def fits(ip: str) -> bool:
        return ip not in reserved and any(ipaddress.ip_address(ip) in net for net in nets)

    return [owner for owner, ips in seen.members.items() if not all(map(fits, ips))]


def _record_steps(spec: NetworkSpec, seen: Observation, hit: Collection[str]) -> Iterator[Step]:
    before = seen.record.spec if seen.record else None
    if seen.corrupt:
        yield _step("set-record-aside", spec.name, seen, "it cannot be read")
    if before is None:
        yield _step("write-network", spec.name, seen, f"subnet {', '.join(spec.subnets)}", spec=spec)
        return
    impact = Impact.RECREATE if hit else Impact.LIVE
    yield from _disconnect_steps(seen, hit)
    if before != spec:
        yield _step("write-network", spec.name, seen, _difference(before, spec), impact, spec=spec)


def _lease_steps(spec: NetworkSpec, seen: Observation, hit: Collection[str]) -> Iterator[Step]:
    """Last, because what fails before this is taken back, and everybody has the address then that he had."""
    if hit or (seen.record is not None and seen.record.spec.ipam_config != spec.ipam_config):
        impact = Impact.RECREATE if hit else Impact.LIVE
        yield _step("sort-leases", spec.name, seen, "of the subnets that there are now", impact)


def _kernel_steps(spec: NetworkSpec, seen: Observation) -> Iterator[Step]:
    """The rules come before the bridge, so that it is protected from its first moment; the address, which brings the
    bridge up, after its settings."""
    wanted, state = _bridge(spec, seen), seen.bridge
    yield from _rule_steps(wanted.name, spec, seen)
    if state is None or state.alias != wanted.alias or (wanted.mtu and state.mtu != wanted.mtu):
        yield _step("create-bridge" if state is None else "configure-bridge", wanted.name, seen, bridge=wanted)
    if state is None or not bridge.sysctls_are_right(state, wanted):
        yield _step("set-bridge-sysctls", wanted.name, seen, bridge=wanted)
    if state is None or not bridge.addresses_are_right(state, wanted):
        yield _step("set-gateway", wanted.name, seen, ", ".join(wanted.addresses), bridge=wanted)
    device = overlay.overlay_of(spec, seen.bridge_name, seen.alias)
    if device is not None:
        yield from _overlay_steps(device, seen)
    for family in sorted({entry.version for entry in spec.ipam_config} - seen.forwarding):
        yield _step("allow-forwarding", f"ipv{family}", seen, "0 → 1", family=family)


def _overlay_steps(wanted: Overlay, seen: Observation) -> Iterator[Step]:
    state = seen.overlay
    born = state is not None and (state.ends, state.mac) == (wanted.ends, wanted.mac)
    if state is None or not is_right(state, wanted):
        yield _step("configure-vxlan" if born else "create-vxlan", wanted.name, seen, overlay=wanted)
    if state is None or not born or overlay.missing(state, wanted):
        why = overlay.missing(state, wanted) if state and born else ""
        yield _step("set-peers", wanted.name, seen, why, overlay=wanted)


def _name_steps(names: Far, seen: Observation) -> Iterator[Step]:
    if names != seen.names:
        others = [host for host in sorted({*names, *seen.names}) if names.get(host) != seen.names.get(host)]
        yield _step("write-names", seen.name, seen, f"of containers on {', '.join(others)}", names=names)


def _rule_steps(bridge_name: str, spec: NetworkSpec, seen: Observation) -> Iterator[Step]:
    """What somebody has emptied is put back for everyone. So is what another driver had until now."""
    driver = seen.rules.dialect.name
    moved = bool(seen.firewall) and seen.firewall != driver
    if seen.firewall and (moved or not seen.rules.whole()):
        reason = f"{seen.firewall} → {driver}" if moved else "somebody has taken some of them away"
        yield _step("restore-rules", driver, seen, reason)
        if seen.record is not None:
            return
    lan = lan_of(bridge_name, spec)
    if not (seen.rules.right(bridge_name, lan) and seen.rules.whole()):
        yield _step("install-rules", bridge_name, seen, _why(bridge_name, seen), lan=lan)


def _bridge(spec: NetworkSpec, seen: Observation) -> Bridge:
    alone = with_mode(spec, ISOLATED)
    addresses = tuple(
        f"{entry.gateway}/{entry.subnet.partition('/')[2]}" for entry in spec.ipam_config if entry.version not in alone
    )
    mac = veth.mac_of(spec.ipam_config[0].gateway).hex(":")
    return Bridge(seen.bridge_name, seen.alias, mac, addresses, spec.mtu)


def _check_ours(spec: NetworkSpec, seen: Observation) -> None:
    asked = spec.driver_options.get(BRIDGE, seen.bridge_name)
    if asked != seen.bridge_name:
        raise Conflict(
            f"the network {spec.name} has the bridge {seen.bridge_name}, which cannot become {asked}",
            hint="remove the network first, or leave the name out",
        )
    if seen.bridge is not None:
        bridge.check_ours(seen.bridge, _bridge(spec, seen))
    device = overlay.overlay_of(spec, seen.bridge_name, seen.alias)
    if seen.overlay is not None and device is not None:
        check_ours(seen.overlay, device)


def _check_host(spec: NetworkSpec, seen: Observation) -> None:
    if spec.enable_ipv6 and not seen.ipv6:
        raise HostLacks(
            f"the network {spec.name} is to have IPv6, and this host's kernel has none",
            hint="boot it without ipv6.disable=1, or leave enable_ipv6 out",
        )


def _check_binding(spec: NetworkSpec, seen: Observation) -> None:
    """Its containers could publish nothing there. One that was accepted may have gone since, and is not looked at."""
    before = seen.record.spec.driver_options.get(HOST_BINDING) if seen.record else None
    asked = spec.driver_options.get(HOST_BINDING)
    if asked and asked == seen.not_local and asked != before:
        raise BadInput(
            f"driver_options: {HOST_BINDING}: {asked} is not an address of this host",
            hint="give one of the host's addresses",
        )


def _why(owner: str, seen: Observation) -> str:
    return "they differ from what the network needs" if owner in seen.rules.owners() else ""


def _disconnect_steps(seen: Observation, members: Collection[str]) -> list[Step]:
    return [
        _step("disconnect-container", owner[:12], seen, f"it has {', '.join(seen.members[owner])}", container_id=owner)
        for owner in sorted(members)
    ]


def _difference(before: NetworkSpec, after: NetworkSpec) -> str:
    """`mtu 0 → 1400`."""
    names = [item.name for item in dataclasses.fields(after) if item.name not in ("ipam_config", "vxlan")]
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    pairs.append(("subnets", _shown(before), _shown(after)))
    changes = [f"{name} {old} → {new}" for name, old, new in pairs if old != new]
    hosts = overlay.changed_hosts(before.vxlan, after.vxlan)
    return ", ".join([*changes, *([f"hosts {hosts}"] if hosts else [])])


def _shown(spec: NetworkSpec) -> str:
    """`10.20.30.0/24 by 10.20.30.1, from 10.20.30.128/25`."""
    return "; ".join(
        f"{entry.subnet} by {entry.gateway}"
        + (f", from {entry.iprange}" if entry.iprange else "")
        + (f", without {', '.join(entry.aux_addresses.values())}" if entry.aux_addresses else "")
        for entry in spec.ipam_config
    )


def _step(
    name: str, target: str, seen: Observation, reason: str = "", impact: Impact = Impact.LIVE, **detail: Any
) -> Step:
    return Step(name, target, reason, impact, {"seen": seen, **detail})


def _in_use(seen: Observation, members: Collection[str], verb: str, way_out: str) -> Conflict:
    names = sorted(map(seen.title, sorted(members)[:SHOWN]))
    more = len(members) - len(names)
    listed = ", ".join([*names, *([f"{more} more"] if more else [])])
    return Conflict(f"cannot {verb} the network {seen.name}: containers are attached ({listed})", hint=way_out)
