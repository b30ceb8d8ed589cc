# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of systemd that is needed: is it there, the name of a path's unit, what `systemctl` says."""

from __future__ import annotations

import os

from ...core.errors import StepFailed
from ...network import command

RUNTIME = "/run/systemd/system"
UNITS = "/etc/systemd/system"
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")


def booted() -> bool:
    """Whether systemd is what started this host: sd_booted(3)."""
    return os.path.isdir(RUNTIME)


def going_down() -> bool:
    """Whether the host is being shut down: `shutdown.target` is queued."""
    return booted() and _ask("is-system-running") == "stopping"


def escape_path(path: str) -> str:
    """A path as the instance of a template: `/var/lib/mini` → `var-lib-mini` (systemd.unit(5), systemd-escape -p)."""
    parts = "/".join(part for part in path.split("/") if part)
    raw = parts.encode("utf-8", "surrogateescape")
    found = ["-" if byte == ord("/") else _escaped(byte) for byte in raw]
    if raw[:1] == b".":
        found[0] = "\\x2e"
    return "".join(found) or "-"


def _escaped(byte: int) -> str:
    return chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}"


def systemctl(*arguments: str) -> None:
    """A command that must succeed."""
    done = command.run([command.find("systemctl", "systemd"), *arguments])
    if done.code:
        reason = " ".join(done.errors.split()) or f"exit code {done.code}"
        raise StepFailed(f"systemctl {' '.join(arguments)} failed: {reason}")


def is_active(unit: str) -> bool:
    """Whether the unit has been started, or is about to be."""
    return _ask("is-active", unit) in ("active", "activating", "reloading")


def is_enabled(unit: str) -> bool:
    """Whether the unit is started at boot."""
    return _ask("is-enabled", unit) == "enabled"


def enabled_instances(template: str) -> list[str]:
    """The instances of a template that are started at boot: their links below `multi-user.target.wants`."""
    prefix, suffix = template.split("@")
    try:
        names = os.listdir(os.path.join(UNITS, "multi-user.target.wants"))
    except FileNotFoundError:
        return []
    return [name for name in names if name.startswith(f"{prefix}@") and name.endswith(suffix)]


def _ask(*question: str) -> str:
    """The first word of the answer, whatever the exit code."""
    return command.run([command.find("systemctl", "systemd"), *question]).output.strip()
