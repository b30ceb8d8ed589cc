# SPDX-License-Identifier: GPL-3.0-or-later
"""A recorded container and what a task says of it: what is wanted in the end, and what differs. Pure.

Specification is compared with specification, each in canonical form, so that no two spellings differ and nothing has
to be read back from a running container.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, Callable, Optional

from ...core.specs.container import ContainerSpec, Limits
from ...core.units import CPU_PERIOD, show_size
from ...image.platform import Platform

# A tuple in which the order means something; in any other it does not.
ORDERED = frozenset(
    "command entrypoint dns_servers dns_search_domains device_cgroup_rules healthcheck volumes_from".split()
)
# What makes two entries of a field the same thing, where it is not the whole entry.
_KEY = {"networks": "name", "mounts": "target", "ulimits": "name", "devices": "path", "secrets": "target"}


@dataclass(frozen=True)
class Wish:
    """What a task asks of one container. `given` names the fields of `spec` (and of its limits) that it sets.

    Fields in `ignored` make no difference; those in `partial` may hold more than the task says. `presume` is check
    mode's: what is not there may be what an earlier task of the play would have made. `contents` are those of the
    secrets, by name; they go nowhere else. `settles`: somebody waits for what becomes of it, so that a container which
    is on trial is kept, or gives way to the one that it has replaced. `unless_running`: it is only removed when it does
    not run.
    """

    spec: ContainerSpec
    state: str = "started"
    given: frozenset[str] = frozenset()
    recreate: bool = False
    restart: bool = False
    force_kill: bool = False
    keep_volumes: bool = True
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    kill_signal: str = ""
    ignored: frozenset[str] = frozenset()
    partial: frozenset[str] = frozenset()
    presume: bool = False
    ignore_image_name: bool = False
    refuse_image_labels: bool = False
    compare_current_image: bool = False
    platform: Optional[Platform] = None
    paused: Optional[bool] = None
    healthy_timeout: float = 300.0
    settles: bool = True
    unless_running: bool = False

    @property
    def runs(self) -> bool:
        """Whether the container is to run."""
        return self.state in ("started", "healthy")


def merge(recorded: ContainerSpec, wish: Wish, skip: Collection[str] = ()) -> ContainerSpec:
    """The recorded container with what the task gives laid over it, but for the fields to `skip`."""
    given = _laid_over(ContainerSpec, recorded, wish.spec, wish, skip)
    given["limits"] = replace(recorded.limits, **_laid_over(Limits, recorded.limits, wish.spec.limits, wish, skip))
    return replace(recorded, **given)


def _laid_over(kind: Any, before: Any, asked: Any, wish: Wish, skip: Collection[str]) -> dict[str, Any]:
    names = [f.name for f in fields(kind) if f.name in wish.given and f.name not in skip and f.name != "limits"]
    found = {name: getattr(asked, name) for name in names}
    return {
        name: at_least(name, getattr(before, name), value) if name in wish.partial else value
        for name, value in found.items()
    }


def at_least(name: str, before: Any, asked: Any) -> Any:
    """What is there when it holds all that is asked; else what is asked, and what is there besides."""
    if before is None or not isinstance(before, (tuple, dict)):
        return asked
    if isinstance(asked, dict):
        return {**before, **asked}
    if name in ORDERED:
        return before if _in_order(asked, before) else asked
    key = _KEY.get(name)
    known = {getattr(item, key) if key else item for item in asked}
    more = [item for item in before if (getattr(item, key) if key else item) not in known]
    together = (*asked, *more)
    if len(together) == len(before) and all(item in before for item in together):
        return before
    return together if name == "networks" else tuple(sorted(together, key=attrgetter(key) if key else None))


def _in_order(asked: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    rest = iter(before)
    return all(item in rest for item in asked)


def changes(before: ContainerSpec, after: ContainerSpec, names: Collection[str]) -> list[str]:
    """One line for each of these fields that changes: `hostname: 'a' → 'b'`."""
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in names]
    return [f"{_title(name)}: {_change(name, old, new)}" for name, old, new in pairs if old != new]


def limit_changes(before: Limits, after: Limits) -> list[str]:
    """One line for each limit that changes: `memory: 64M → 128M`."""
    pairs = [(f.name, getattr(before, f.name), getattr(after, f.name)) for f in fields(Limits)]
    return [f"{_title(name)}: {_show_limit(name, a)} → {_show_limit(name, b)}" for name, a, b in pairs if a != b]


_OPTION = {
    "cpu_quota": "cpus",
    "cap_add": "capabilities",
    "ports": "published_ports",
    "host_binding": "default_host_ip of the first network",
    "routed": "families in which its networks are routed",
    "mounts": "volumes",
    "oom_kill_disable": "oom_killer",
    "seccomp": "security_opts: seccomp",
    "apparmor": "security_opts: apparmor",
    "log_max_size": "log_options: max-size",
    "log_max_files": "log_options: max-file",
}


def _title(name: str) -> str:
    """What the field is called in a task."""
    return _OPTION.get(name, name)


def _show_limit(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{path}: {rate}" for path, rate in sorted(value.items())) or "none"
    if name == "memory_swap" and value == -1:
        return "unlimited"
    if (not value and name != "memory_swappiness") or value == -1:
        return "none"
    if name in ("memory", "memory_swap", "memory_reservation"):
        return show_size(value)
    return str(value / CPU_PERIOD) if name == "cpu_quota" else str(value)


def _change(name: str, old: Any, new: Any) -> str:
    """Of variables the names alone: their values may be secrets."""
    if name == "env":
        return ", ".join(key for key in sorted({**old, **new}) if old.get(key) != new.get(key))
    return f"{_show(name, old)} → {_show(name, new)}"


_SHORT: dict[str, Callable[[Any], str]] = {
    "mounts": lambda item: str(item.show()),
    "networks": lambda item: str(item.show()),
    "ports": lambda item: str(item.show()),
    "ulimits": lambda item: str(item.show()),
    "devices": lambda item: str(item.show()),
    "secrets": lambda item: str(item.name),
    "volumes_from": lambda item: str(item.container),
}


def _show(name: str, value: Any) -> str:
    if name == "seccomp" and value.startswith("{"):
        return "a profile"
    if name == "healthcheck":
        return value.show() if value else "none"
    if name in ("log_max_size", "shm_size"):
        return "unlimited" if value == -1 else show_size(value) if value else "the default"
    if name in _SHORT:
        return "[" + ", ".join(_SHORT[name](item) for item in value) + "]"
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def image_label(wanted: Optional[str]) -> str:
    """Twelve digits of an image's id."""
    return (wanted or "")[7:19]
