# SPDX-License-Identifier: GPL-3.0-or-later
"""Which devices a cgroup may use: the rules of a bundle as a list of what is allowed, and cgroup v1's files of it.

The rules are those of the OCI runtime specification (config-linux.md, "Allowed Device list"), in order, on top of a
denial of everything. v1 knows nothing of an order: its cgroup is a set of exceptions to "deny", and any one of them
that covers an access allows it. So the rules are folded into such a set first, here, and v2's program is made of the
same set. A rule wins over those before it: one that allows adds to the set, one that denies takes away what it covers.
What a set cannot say, a hole in a wider rule that allows, is an error; the kernel would ignore it without a word
(kernel: security/device_cgroup.c, dev_exception_rm), and what was denied would be open.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Optional

from ...core.errors import BadInput, HostLacks, StepFailed
from ..files import write_kernel
from .settings import read

# <linux/bpf.h>, BPF_DEVCG_ACC_*; the letters in the order in which v1 shows them.
ACCESS = {"r": 2, "w": 4, "m": 1}
ALL_ACCESS = 7
ANY = -1
_KINDS = {"a": "bc", "b": "b", "c": "c", "u": "c"}  # `u`, unbuffered, is a name of mknod(1) for `c`
_ALL_V1 = "a *:* rwm"


class Device(NamedTuple):
    """A device, or with ANY all of a kind or of a major number."""

    kind: str
    major: int
    minor: int

    def covers(self, other: Device) -> bool:
        """Whether every device that `other` stands for is one of these."""
        pairs = ((self.major, other.major), (self.minor, other.minor))
        return self.kind == other.kind and all(mine in (ANY, theirs) for mine, theirs in pairs)

    def overlaps(self, other: Device) -> bool:
        """Whether there is a device that both stand for."""
        pairs = ((self.major, other.major), (self.minor, other.minor))
        return self.kind == other.kind and all(ANY in pair or pair[0] == pair[1] for pair in pairs)


Allowed = dict[Device, int]
EVERYTHING: Allowed = {Device(kind, ANY, ANY): ALL_ACCESS for kind in "bc"}


def allowed(resources: dict[str, Any]) -> Optional[Allowed]:
    """What the rules of `linux.resources.devices` come to; None when there are none and devices are left alone."""
    rules = resources.get("devices")
    if rules is None:
        return None
    found: Allowed = {}
    for rule in rules:
        access = sum(ACCESS[letter] for letter in set(rule.get("access") or "rwm"))
        major, minor = (ANY if rule.get(name) is None else int(rule[name]) for name in ("major", "minor"))
        for kind in _KINDS[rule.get("type") or "a"]:
            (_allow if rule["allow"] else _deny)(found, Device(kind, major, minor), access)
    return found


def _allow(found: Allowed, device: Device, access: int) -> None:
    found[device] = found.get(device, 0) | access


def _deny(found: Allowed, device: Device, access: int) -> None:
    for other, granted in list(found.items()):
        if not granted & access or not device.overlaps(other):
            continue
        if not device.covers(other):
            hole, wall = show({device: access}), show({other: granted})
            raise BadInput(
                f"devices: {hole} cannot be denied after {wall} was allowed",
                hint="cgroups have no exceptions to what is allowed: allow less",
            )
        found[other] = granted & ~access
        if not found[other]:
            del found[other]


def show(devices: Allowed) -> str:
    """As v1 writes them, `c 1:3 rwm`, sorted; `none` for none."""
    return ", ".join(_line(device, access) for device, access in sorted(devices.items())) or "none"


def _line(device: Device, access: int) -> str:
    major, minor = ("*" if number == ANY else str(number) for number in (device.major, device.minor))
    letters = "".join(letter for letter, bit in ACCESS.items() if access & bit)
    return f"{device.kind} {major}:{minor} {letters}"


def parse(text: str) -> Allowed:
    """v1's `devices.list`."""
    found: Allowed = {}
    for line in text.splitlines():
        kinds, numbers, letters = line.split()
        major, minor = (ANY if number == "*" else int(number) for number in numbers.split(":"))
        for kind in _KINDS[kinds]:
            _allow(found, Device(kind, major, minor), sum(ACCESS[letter] for letter in letters))
    return found


def drift_v1(directory: str, wanted: Allowed) -> list[str]:
    """What differs, as `devices: b *:* rwm → none`; nothing to say of a cgroup that is not there."""
    text = read(directory, "devices.list")
    actual = wanted if text is None else parse(text)
    if actual == wanted:
        return []
    return [f"devices: {show(_but(actual, wanted))} → {show(_but(wanted, actual))}"]


def _but(devices: Allowed, others: Allowed) -> Allowed:
    """What is in the one and not in the other."""
    left = {device: access & ~others.get(device, 0) for device, access in devices.items()}
    return {device: access for device, access in left.items() if access}


def write_v1(directory: Optional[str], wanted: Allowed) -> None:
    """Make the cgroup's list the one wanted, by its differences: a running container is never without its devices."""
    text = read(directory, "devices.list") if directory else None
    if directory is None or text is None:
        if wanted == EVERYTHING:
            return
        raise HostLacks(
            "cannot confine devices: the host has no devices cgroup controller",
            hint="mount its hierarchy, or boot with cgroup v2; only a privileged container can do without",
        )
    actual = parse(text)
    if actual == wanted:
        return
    if _ALL_V1 in text.splitlines():
        # What a new cgroup has of its parent is no exception but the default, which must go before exceptions count.
        _write(directory, "devices.deny", "a")
        actual = {}
    for device, access in _but(wanted, actual).items():
        _write(directory, "devices.allow", _line(device, access))
    for device, access in _but(actual, wanted).items():
        _write(directory, "devices.deny", _line(device, access))


def _write(directory: str, file: str, rule: str) -> None:
    path = os.path.join(directory, file)
    try:
        write_kernel(path, rule)
    except OSError as exc:
        # EPERM: this host is itself confined, and cannot give what it does not have.
        raise StepFailed(
            f"the kernel refuses the device rule {rule!r} ({path}): {exc.strerror}",
            step="cgroup-devices",
            path=path,
            errno=exc.errno,
        ) from exc
