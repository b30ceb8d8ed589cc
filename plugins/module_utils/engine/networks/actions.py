# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a network's plan is done, and taken back: the only writer.

Every action may be repeated, and may meet its work half done. Taking back means: as it was when the plan was made. So
a network that existed before keeps its record and rules, and one that did not leaves nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
from typing import Callable

from ...core.names import new_id
from ...core.paths import Paths
from ...core.plan import Action, Step
from ...core.specs.network import NetworkSpec
from ...linux.files import remove_tree
from ...network import bridge, overlay, veth
from ...network.hosts import Far
from ..records import save, set_aside
from .far import keep
from .host import allow_forwarding, give_back_forwarding
from .leases import sort_leases
from .observe import Observation
from .overlay import overlay_of
from .packetfilter import Sight, apply_rules, restore_rules
from .record import NetworkRecord, lan_of, load


def actions(paths: Paths) -> dict[str, Action]:
    """The table for `core.plan.apply`."""

    def bound(function: Callable[[Paths, Step], None]) -> Callable[[Step], None]:
        return functools.partial(function, paths)

    return {
        "set-record-aside": Action(bound(_set_record_aside)),
        "write-network": Action(bound(_write_record), bound(_restore_record)),
        "disconnect-container": Action(bound(_disconnect)),
        "sort-leases": Action(bound(_sort_leases)),
        "restore-rules": Action(bound(_restore_all_rules)),
        "install-rules": Action(bound(_install_rules), bound(_restore_rules)),
        "create-bridge": Action(bound(_create_bridge), bound(_delete_new_bridge)),
        "configure-bridge": Action(bound(_create_bridge)),
        "set-bridge-sysctls": Action(bound(_set_sysctls)),
        "set-gateway": Action(bound(_set_gateway)),
        "create-vxlan": Action(bound(_create_vxlan), bound(_delete_new_vxlan)),
        "configure-vxlan": Action(bound(_create_vxlan)),
        "set-peers": Action(bound(_set_peers), bound(_restore_peers)),
        "write-names": Action(bound(_write_names), bound(_restore_names)),
        "allow-forwarding": Action(bound(_allow_forwarding), bound(_forbid_forwarding)),
        "remove-rules": Action(bound(_remove_rules), bound(_restore_rules)),
        "delete-vxlan": Action(bound(_delete_vxlan)),
        "delete-bridge": Action(bound(_delete_bridge)),
        "give-back-forwarding": Action(bound(_give_back_forwarding)),
        "remove-network": Action(bound(_remove_network)),
    }


def _seen(step: Step) -> Observation:
    seen: Observation = step.detail["seen"]
    return seen


# The record


def _set_record_aside(paths: Paths, step: Step) -> None:
    set_aside(paths.network_record(_seen(step).name))


def _write_record(paths: Paths, step: Step) -> None:
    """A network keeps its id and its birthday when its specification changes."""
    seen, spec = _seen(step), step.detail["spec"]
    save(new_record(seen, spec), paths.network_record(spec.name))


def new_record(seen: Observation, spec: NetworkSpec) -> NetworkRecord:
    """The record of what will be."""
    if seen.record is not None:
        return NetworkRecord(seen.record.id, spec, seen.record.bridge, seen.record.created)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return NetworkRecord(new_id(), spec, seen.bridge_name, now)


def _restore_record(paths: Paths, step: Step) -> None:
    seen = _seen(step)
    if seen.record is not None:
        save(seen.record, paths.network_record(seen.name))
    elif not seen.directory:
        _remove_network(paths, step)


def _remove_network(paths: Paths, step: Step) -> None:
    remove_tree(paths.network(_seen(step).name))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(paths.names_in(_seen(step).name))
    with contextlib.suppress(OSError):  # others are still in it
        os.rmdir(paths.networks)


# Containers


def _disconnect(paths: Paths, step: Step) -> None:
    veth.detach(veth.host_name(step.detail["container_id"], _seen(step).name))


def _sort_leases(paths: Paths, step: Step) -> None:
    sort_leases(paths, load(paths, _seen(step).name))


# Rules


def _restore_all_rules(paths: Paths, step: Step) -> None:
    restore_rules(paths, step.target)


def _install_rules(paths: Paths, step: Step) -> None:
    apply_rules(paths, {step.target: step.detail["lan"]}, {}, name=_seen(step).rules.dialect.name)


def _restore_rules(paths: Paths, step: Step) -> None:
    """As they were; who has no networks uses no packet filter."""
    record = _seen(step).record
    apply_rules(paths, {step.target: lan_of(record.bridge, record.spec) if record else None})
    if record is None and _seen(step).last:
        give_back_forwarding(paths, alone=True)


def _remove_rules(paths: Paths, step: Step) -> None:
    apply_rules(paths, {step.target: None})


# The bridge


def _create_bridge(paths: Paths, step: Step) -> None:
    bridge.create(step.detail["bridge"])


def _delete_new_bridge(paths: Paths, step: Step) -> None:
    if _seen(step).record is None:
        bridge.delete(step.target)


def _delete_bridge(paths: Paths, step: Step) -> None:
    bridge.delete(step.target)


def _set_sysctls(paths: Paths, step: Step) -> None:
    bridge.set_sysctls(step.detail["bridge"])


def _set_gateway(paths: Paths, step: Step) -> None:
    bridge.set_addresses(step.detail["bridge"])


# The other hosts


def _create_vxlan(paths: Paths, step: Step) -> None:
    overlay.create(step.detail["overlay"])


def _delete_new_vxlan(paths: Paths, step: Step) -> None:
    if _seen(step).record is None:
        _delete_vxlan(paths, step)


def _delete_vxlan(paths: Paths, step: Step) -> None:
    overlay.delete(step.target, _seen(step).alias)


def _set_peers(paths: Paths, step: Step) -> None:
    overlay.set_entries(step.detail["overlay"])


def _restore_peers(paths: Paths, step: Step) -> None:
    seen = _seen(step)
    before = overlay_of(seen.record.spec, seen.bridge_name, seen.alias) if seen.record else None
    if before is not None:
        overlay.create(before)
        overlay.set_entries(before)


def _write_names(paths: Paths, step: Step) -> None:
    _tell(paths, step.target, step.detail["names"])


def _restore_names(paths: Paths, step: Step) -> None:
    if _seen(step).directory:
        _tell(paths, step.target, _seen(step).names)


def _tell(paths: Paths, network: str, names: Far) -> None:
    """The containers of this host have them in their hosts files, which are the business of another room."""
    from ..containers.hosts import tell_peers

    keep(paths, network, names)
    tell_peers(paths, [network])


# The host


def _allow_forwarding(paths: Paths, step: Step) -> None:
    allow_forwarding(paths, step.detail["family"])


def _forbid_forwarding(paths: Paths, step: Step) -> None:
    if _seen(step).last and _seen(step).record is None:
        give_back_forwarding(paths, alone=True)


def _give_back_forwarding(paths: Paths, step: Step) -> None:
    """Rules that are still there belong to networks of another state root."""
    give_back_forwarding(paths, alone=not Sight(paths).owners())
