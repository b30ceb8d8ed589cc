# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container may do: capabilities, kernel settings, resource limits of its processes, filters."""

from __future__ import annotations

import resource
from typing import Any

from ..core.errors import BadInput, HostLacks
from ..core.specs.container import Ulimit
from ..linux import capabilities
from ..linux.apparmor import SYS, enabled
from .options import table

NAMESPACED_SYSCTLS = ("net.", "kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
RLIMITS = frozenset(name for name in dir(resource) if name.startswith("RLIMIT_"))
SECURITY_FIELDS = ("no_new_privs", "seccomp", "apparmor")


def capability_names(option: str, value: list[str]) -> tuple[str, ...]:
    """`NET_ADMIN`, `cap_net_admin`, `ALL`; in order, each once."""
    found = {"ALL" if name.upper() == "ALL" else "CAP_" + name.upper().replace("CAP_", "", 1) for name in value}
    for name in found - {"ALL"}:
        if name not in capabilities.NUMBER:
            raise BadInput(f"{option}: there is no capability {name}", hint="see capabilities(7), or write ALL")
    return tuple(sorted(found))


def ulimits(value: list[str]) -> tuple[Ulimit, ...]:
    """`nofile:1024:4096`, `core:0`, `nproc:unlimited`."""
    found: list[Ulimit] = []
    for text in value:
        name, _colon, numbers = text.partition(":")
        soft, _colon, hard = numbers.partition(":")
        limit = Ulimit(name.lower(), _ulimit(text, soft), _ulimit(text, hard or soft))
        if f"RLIMIT_{name.upper()}" not in RLIMITS:
            raise BadInput(f"ulimits: there is no limit {name!r}", hint="write it as nofile:1024:4096")
        if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
            raise BadInput(f"ulimits: in {text!r} the soft limit is above the hard one")
        if any(limit.name == other.name for other in found):
            raise BadInput(f"ulimits: {limit.name} is named twice", hint="name it once")
        found.append(limit)
    return tuple(sorted(found))


def _ulimit(text: str, number: str) -> int:
    if number in ("unlimited", "-1"):
        return -1
    if not number.isdigit():
        raise BadInput(f"ulimits: {text!r} is not a limit", hint="write it as nofile:1024:4096")
    return int(number)


def sysctls(value: dict[str, Any]) -> dict[str, str]:
    """Settings of the container's own namespaces; one of the whole host is refused."""
    found = table("sysctls", value)
    for name in found:
        if not name.startswith(NAMESPACED_SYSCTLS) or ".." in name or "/" in name:
            raise BadInput(f"sysctls: {name} is not the container's own", hint="set it on the host")
    return found


def security_options(given: dict[str, Any]) -> dict[str, Any]:
    """The fields behind `security_opts`. The list is the whole truth: what it does not say is as usual."""
    if "security_opts" not in given:
        return {}
    fields: dict[str, Any] = {"seccomp": "default", "apparmor": ""}
    if "no_new_privs" not in given:
        fields["no_new_privs"] = False
    for text in given["security_opts"]:
        fields.update(security_option(text))
    if given.get("no_new_privs") and fields.get("no_new_privs") is False:
        raise BadInput("security_opts: no-new-privileges=false contradicts no_new_privs", hint="give one of them")
    return fields


def security_option(text: str) -> dict[str, Any]:
    """`no-new-privileges`, `seccomp=unconfined` or a file, `apparmor=…`, as Docker writes them."""
    separator = "=" if "=" in text else ":"
    name, _separator, value = text.partition(separator)
    if name == "no-new-privileges" and value in ("", "true", "false"):
        return {"no_new_privs": value != "false"}
    if name == "seccomp" and value in ("unconfined", "default", "builtin"):
        return {"seccomp": "unconfined" if value == "unconfined" else "default"}
    if name == "seccomp" and value.startswith("/"):
        # Few tasks bring a profile, and it takes the lists of system calls with it.
        from ..engine.containers.seccomp_file import read_profile

        return {"seccomp": read_profile(value)}
    if (name, value) == ("label", "disable"):
        return {}  # there is never one
    if name == "apparmor" and value:
        return {"apparmor": apparmor(value)}
    raise BadInput(
        f"security_opts: {text!r} is not known here",
        hint="no-new-privileges, seccomp=unconfined, seccomp=/a/profile.json and apparmor=PROFILE are",
    )


def apparmor(profile: str, sys: str = SYS) -> str:
    """The name of a profile; `unconfined` is none. Whether it is loaded is seen when a container is to be made."""
    if profile == "unconfined":
        return ""
    if not profile.isprintable():
        raise BadInput(f"security_opts: {profile!r} is not the name of an AppArmor profile")
    if not enabled(sys):
        raise HostLacks(
            f"cannot use the AppArmor profile {profile}: this host has no AppArmor",
            hint="leave it out, or say apparmor=unconfined",
        )
    return profile
