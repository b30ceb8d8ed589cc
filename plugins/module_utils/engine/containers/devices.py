# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that a container may use, whatever nodes it comes by: Docker's default (moby, daemon/pkg/oci).

To make a node is allowed of any device, for that alone opens nothing. The root is mounted `nodev` all the same: the
nodes of an image are of no use, those of /dev and of a mount are judged by these rules.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from ...core.specs.container import ContainerSpec, Device

# Numbers: kernel, admin-guide/devices.txt.
_USABLE: tuple[tuple[int, Optional[int]], ...] = (
    (1, 3),  # null
    (1, 5),  # zero
    (1, 7),  # full
    (1, 8),  # random
    (1, 9),  # urandom
    (5, 0),  # tty
    (5, 1),  # console
    (5, 2),  # ptmx
    (136, None),  # pts/*
    # net/tun, as in Docker: for a container that is given its node and CAP_NET_ADMIN; without these it is no way out.
    (10, 200),
)


class Node(NamedTuple):
    """A device node of the host, and where the container has it."""

    path: str
    status: os.stat_result
    access: str

    @property
    def kind(self) -> str:
        return "b" if stat.S_ISBLK(self.status.st_mode) else "c"

    @property
    def numbers(self) -> dict[str, int]:
        return {"major": os.major(self.status.st_rdev), "minor": os.minor(self.status.st_rdev)}


def rules(spec: ContainerSpec) -> list[dict[str, Any]]:
    """For `linux.resources.devices`, in order; the last that matches decides."""
    if spec.privileged:
        return [{"allow": True, "access": "rwm"}]
    found: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    found += [{"allow": True, "type": kind, "access": "m"} for kind in "cb"]
    for major, minor in _USABLE:
        found.append(_rule("c", major, minor, "rwm"))
    for node in host_nodes(spec.devices):
        found.append({"allow": True, "type": node.kind, **node.numbers, "access": node.access})
    return found + [_parsed(rule) for rule in spec.device_cgroup_rules]


def _parsed(text: str) -> dict[str, Any]:
    """`c 42:* rw`, checked by the reader of the option."""
    kind, numbers, access = text.split(" ")
    major, minor = (None if number == "*" else int(number) for number in numbers.split(":"))
    return _rule(kind, major, minor, access)


def _rule(kind: str, major: Optional[int], minor: Optional[int], access: str) -> dict[str, Any]:
    rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    return {name: value for name, value in rule.items() if value is not None}


def nodes(spec: ContainerSpec, first_id: int = 0) -> list[dict[str, Any]]:
    """`linux.devices`: nodes to make in the container, with the owner and mode that they have on the host."""
    return [
        {
            "path": node.path,
            "type": node.kind,
            **node.numbers,
            "fileMode": stat.S_IMODE(node.status.st_mode),
            "uid": first_id + node.status.st_uid,
            "gid": first_id + node.status.st_gid,
        }
        for node in host_nodes(spec.devices)
    ]


def host_nodes(devices: tuple[Device, ...]) -> Iterator[Node]:
    """The nodes behind the option: one, or all below a directory. What has gone meanwhile has none."""
    for device in devices:
        if os.path.isdir(device.source):
            for where, _directories, names in sorted(os.walk(device.source)):
                below = os.path.join(device.path, os.path.relpath(where, device.source))
                for name in sorted(names):
                    yield from _node(os.path.join(where, name), os.path.normpath(os.path.join(below, name)), device)
        else:
            yield from _node(device.source, device.path, device)


def _node(source: str, path: str, device: Device) -> Iterator[Node]:
    try:
        status = os.stat(source)
    except OSError:
        return
    if stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
        yield Node(path, status, device.access)


def lacking(spec: ContainerSpec) -> list[str]:
    """One sentence for each device that the task names and the host has not."""
    found = [f"the host has no device {item.source}" for item in spec.devices if not list(host_nodes((item,)))]
    limits = spec.limits
    throttled = [limits.device_read_bps, limits.device_write_bps, limits.device_read_iops, limits.device_write_iops]
    paths = sorted({path for rates in throttled for path in rates})
    return found + [f"{path} is no block device of the host" for path in paths if _disk(path) is None]


def _disk(path: str) -> Optional[int]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_rdev if stat.S_ISBLK(status.st_mode) else None


def throttles(rates: Mapping[str, int]) -> list[dict[str, int]]:
    """The rates as the specification has them, by the devices' numbers; a device that has gone has none."""
    numbers = ((_disk(path), rate) for path, rate in sorted(rates.items()))
    return [{"major": os.major(n), "minor": os.minor(n), "rate": rate} for n, rate in numbers if n is not None]
