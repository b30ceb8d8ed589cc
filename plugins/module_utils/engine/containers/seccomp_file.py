# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile of system calls that a task brings along, in Docker's form or in that of the OCI specification.

Docker's has what the other lacks: groups that count only with or without a capability, on some machines, or from a
kernel on (docs.docker.com/engine/security/seccomp; moby, vendor/github.com/moby/profiles/seccomp/seccomp.go). They
are decided here. Which calls there are, and what a filter can say, is for the compiler.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection
from typing import Any

from ...core.errors import BadInput, NotFound
from ...linux.seccomp import NOTIFY, notifies
from .seccomp_profile import ARCHITECTURES, version

MAX_FILE = 4 << 20


def read_profile(path: str) -> str:
    """The profile in a file as one canonical text: what is compared is what it says."""
    try:
        with open(path, "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise BadInput(f"security_opts: seccomp: {path} is not a file", path=path)
            raw = handle.read(MAX_FILE + 1)
    except OSError as exc:
        text = f"security_opts: seccomp: {path} cannot be read: {exc.strerror}"
        raise NotFound(text, path=path, errno=exc.errno) from exc
    try:
        document = json.loads(raw) if len(raw) <= MAX_FILE else None
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"security_opts: seccomp: {path} is not JSON: {exc}", path=path) from exc
    resolve(document, (), "99.0", os.uname().machine)
    return json.dumps(document, sort_keys=True)


def resolve(document: Any, capabilities: Collection[str], release: str, machine: str) -> dict[str, Any]:
    """`linux.seccomp` for a bounding set, a kernel (`os.uname().release`) and a machine."""
    try:
        family, architectures = ARCHITECTURES.get(machine, ("", []))
        rules = [rule for group in document.get("syscalls") or () for rule in _rules(group)]
        kernel = version(release)
        found = {
            "defaultAction": _text(document["defaultAction"]),
            "architectures": list(document.get("architectures") or _architectures(document, machine) or architectures),
            "syscalls": [_plain(rule) for rule in rules if _holds(rule, capabilities, kernel, family)],
        }
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise BadInput(
            f"security_opts: the seccomp profile is malformed: {type(exc).__name__}: {exc}",
            hint="it needs defaultAction, and syscalls with names and action",
        ) from exc
    if found["defaultAction"] == NOTIFY or notifies(found):
        raise BadInput(
            f"security_opts: the seccomp profile asks for {NOTIFY}, whose listener a container could not do without "
            "whenever it starts",
            hint="mini-oci takes bundles that have one",
        )
    optional = ("defaultErrnoRet", "flags")
    return {**found, **{name: document[name] for name in optional if document.get(name) is not None}}


def _architectures(document: dict[str, Any], machine: str) -> list[str]:
    """Docker maps a machine's own architecture to those whose programs it can run besides."""
    mine = f"SCMP_ARCH_{machine.upper()}"
    for entry in document.get("archMap") or ():
        if entry["architecture"] == mine:
            return [mine, *(entry.get("subArchitectures") or ())]
    return []


def _rules(group: dict[str, Any]) -> list[dict[str, Any]]:
    """An old profile has one `name` for each rule."""
    names = group.get("names") or [group["name"]]
    return [{**group, "names": [_text(name) for name in names], "action": _text(group["action"])}]


def _holds(rule: dict[str, Any], capabilities: Collection[str], kernel: tuple[int, int], family: str) -> bool:
    """Whether the rule counts here: all that `includes` asks for is there, and nothing of `excludes`."""
    wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
    return (
        all(name in capabilities for name in wanted.get("caps") or ())
        and not any(name in capabilities for name in unwanted.get("caps") or ())
        and (not wanted.get("arches") or family in wanted["arches"])
        and family not in (unwanted.get("arches") or ())
        and (not wanted.get("minKernel") or kernel >= version(_text(wanted["minKernel"])))
        and (not unwanted.get("minKernel") or kernel < version(_text(unwanted["minKernel"])))
    )


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule without what only Docker knows."""
    kept = ("names", "action", "errnoRet", "args")
    found = {name: rule[name] for name in kept if rule.get(name) is not None}
    for condition in found.get("args", ()):
        if not isinstance(condition["index"], int) or not isinstance(condition["value"], int):
            raise TypeError("the arguments of a rule are numbers")
        _text(condition["op"])
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where a text belongs")
    return value
