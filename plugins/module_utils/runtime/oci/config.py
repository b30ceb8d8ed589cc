# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle of somebody else's: read, checked before anything is touched, and completed where it may be silent."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
from typing import Any

from ...core.errors import BadInput, HostLacks, NotFound
from ...linux import libc, scheduling, userns
from ...linux.capabilities import NUMBER, available
from ...linux.mount_options import MS_BIND, parse_options
from ..bundle import NAMESPACES, USERS, Bundle
from . import listener, placing
from .log import warn

DEFAULT_PARENT = "/mini-oci"
# Devices that a container may use whatever its bundle says, as with runc: making any node, and the usual ones.
ALLOWED_DEVICES: list[dict[str, Any]] = [
    *({"allow": True, "type": kind, "access": "m"} for kind in "cb"),
    *(
        {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
        for major, minor in ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None))
    ),
]
_VERSION = re.compile(r"1\.\d+\.\d+(-[0-9A-Za-z.+-]+)?")
_NOT_HAD = {
    "process": ("selinuxLabel",),
    "linux": ("intelRdt", "mountLabel", "netDevices"),
}
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
MAPPINGS = {"uid": "uidMappings", "gid": "gidMappings"}
_CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def load(options: argparse.Namespace) -> Bundle:
    """The bundle of `--bundle`, checked and completed. `NotFound` and `BadInput` say what is wrong with it."""
    directory = os.path.abspath(options.bundle)
    path = os.path.join(directory, options.config)
    try:
        with open(path, "rb") as handle:
            config = json.loads(handle.read(), object_hook=without_nulls)
    except FileNotFoundError as exc:
        raise NotFound(f"JSON specification file config.json not found: {path}") from exc
    except ValueError as exc:
        raise BadInput(f"{path} is not JSON: {exc}") from exc
    bundle = Bundle(directory, config)
    check(bundle)
    _complete(config, options.id, systemd=options.systemd_cgroup)
    return bundle


def without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    """What is null is not there: some write their empty fields so."""
    return {name: value for name, value in found.items() if value is not None}


def check(bundle: Bundle) -> None:
    """Refuse what is missing, contradicts itself, or cannot be had."""
    config = bundle.config
    _demand(isinstance(config, dict), "config.json is not an object")
    version = config.get("ociVersion")
    _demand(
        _VERSION.fullmatch(str(version)) is not None, f"ociVersion: {version!r} is not a version 1 of the specification"
    )
    root = config.get("root") or {}
    _demand(bool(root.get("path")), "root.path is missing")
    if not os.path.isdir(bundle.root_path):
        raise NotFound(f"root.path: {bundle.root_path} is not a directory")
    check_process(config.get("process") or {})
    _check_namespaces(bundle)
    for number, entry in enumerate(bundle.mounts):
        _demand(bool(entry.get("destination")), f"mounts[{number}] has no destination")
        _check_mapped(entry, f"mounts[{number}]")
    for kind, hooks in bundle.hooks.items():
        _demand(kind in HOOKS, f"hooks: there is no occasion {kind!r}")
        _demand(
            all(os.path.isabs(hook.get("path", "")) for hook in hooks or ()), f"hooks.{kind}: a path is not absolute"
        )
    for name in _NOT_HAD["linux"]:
        _demand(not bundle.linux.get(name), f"linux.{name} cannot be had here")
    placing.check(bundle.linux)
    listener.check(bundle.linux.get("seccomp") or {})


def _check_mapped(entry: dict[str, Any], where: str) -> None:
    """Files that are mapped by a namespace of their own."""
    entry.pop(USERS, None)
    both = [bool(entry.get(name)) for name in ("uidMappings", "gidMappings")]
    _demand(len(set(both)) == 1, f"{where}: uidMappings and gidMappings go together")
    _demand(
        not any(both) or bool(parse_options(entry.get("options") or ()).flags & MS_BIND),
        f"{where}: only the files of a bind mount can be mapped",
    )


def check_process(process: dict[str, Any]) -> None:
    """The same for an OCI `process` object. Capabilities that this host's root lacks are left out, with a warning."""
    _demand(bool(process.get("args")), "process.args is missing: there is nothing to run")
    _demand(os.path.isabs(process.get("cwd", "")), f"process.cwd: {process.get('cwd')!r} is not an absolute path")
    for name in _NOT_HAD["process"]:
        _demand(not process.get(name), f"process.{name} cannot be had here")
    placing.check_affinity(process)
    _check_rlimits(process.get("rlimits") or [])
    _check_scheduling(process.get("scheduler"), process.get("ioPriority"))
    if process.get("apparmorProfile") and not os.path.exists("/sys/module/apparmor/parameters/enabled"):
        raise HostLacks("process.apparmorProfile: this host has no AppArmor")
    granted = process.get("capabilities") or {}
    mine, lacking = set(available()), set[str]()
    for kind in _CAPABILITY_SETS:
        asked = granted.get(kind) or ()
        granted[kind] = [name for name in asked if name in NUMBER and name in mine]
        lacking.update(set(asked) - set(granted[kind]))
    if lacking:
        warn(f"warning: nobody here can grant {', '.join(sorted(lacking))}")
    _limit_ambient(granted)
    process["capabilities"] = granted


def _limit_ambient(granted: dict[str, list[str]]) -> None:
    """What is not permitted and inheritable, too, the kernel does not let be ambient (capabilities(7))."""
    possible = set(granted["permitted"]) & set(granted["inheritable"])
    lacking = set(granted["ambient"]) - possible
    if lacking:
        warn(f"warning: not permitted and inheritable, so not ambient: {', '.join(sorted(lacking))}")
        granted["ambient"] = [name for name in granted["ambient"] if name in possible]


def _check_rlimits(limits: list[dict[str, Any]]) -> None:
    """Each once, as the specification demands, and none that its hard limit would not let be."""
    kinds = [entry.get("type") for entry in limits]
    unknown = [kind for kind in kinds if not (str(kind).startswith("RLIMIT_") and hasattr(resource, str(kind)))]
    _demand(not unknown, f"process.rlimits: there is no limit {unknown[:1]}")
    _demand(len(kinds) == len(set(kinds)), "process.rlimits names one twice")
    for entry in limits:
        values: list[int] = [entry[name] for name in ("soft", "hard") if isinstance(entry.get(name), int)]
        _demand(len(values) == 2, f"process.rlimits: {entry['type']} lacks a number")
        _demand(values[0] <= values[1], f"process.rlimits: {entry['type']}: soft is above hard")


def _check_scheduling(scheduler: Any, io_priority: Any) -> None:
    """Names that there are, and numbers that the kernel would have room for."""
    if scheduler:
        policy = scheduler.get("policy")
        _demand(policy in scheduling.POLICIES, f"process.scheduler: there is no policy {policy!r}")
        unknown = set(scheduler.get("flags") or ()) - set(scheduling.FLAGS)
        _demand(not unknown, f"process.scheduler: there is no flag {', '.join(sorted(map(str, unknown)))}")
        for name, bound in (
            ("nice", 2**31),
            ("priority", 2**31),
            ("runtime", 2**63),
            ("deadline", 2**63),
            ("period", 2**63),
        ):
            value = scheduler.get(name, 0)
            _demand(isinstance(value, int) and abs(value) < bound, f"process.scheduler: {name}: {value!r} is no number")
    if io_priority:
        kind, level = io_priority.get("class"), io_priority.get("priority", 0)
        _demand(kind in scheduling.CLASSES, f"process.ioPriority: there is no class {kind!r}")
        _demand(level in scheduling.LEVELS, f"process.ioPriority: {level!r} is not a priority from 0 to 7")


def _check_namespaces(bundle: Bundle) -> None:
    kinds = [entry.get("type") for entry in bundle.linux.get("namespaces") or ()]
    unknown = [kind for kind in kinds if kind not in NAMESPACES]
    _demand(not unknown, f"linux.namespaces: there is no namespace {unknown[:1]}")
    _demand(len(kinds) == len(set(kinds)), "linux.namespaces names one twice")
    _demand("mount" in kinds, "linux.namespaces: a container needs a mount namespace of its own")
    _learn_users(bundle)
    _check_users(bundle, kinds)
    for name in ("hostname", "domainname"):
        _demand(
            not bundle.config.get(name) or "uts" in kinds, f"{name} needs a uts namespace, or it would be the host's"
        )
    for name, value in (bundle.linux.get("sysctl") or {}).items():
        # The specification has a field for the one, and may have for the other.
        _demand(name.replace("/", ".") != "kernel.hostname", f"linux.sysctl: {name} is hostname's to say")
        same = value == bundle.config.get("domainname", value)
        _demand(name.replace("/", ".") != "kernel.domainname" or same, f"linux.sysctl: {name} is not domainname")
        kind = _sysctl_namespace(name.replace("/", "."))
        _demand(kind in kinds, f"linux.sysctl: {name} needs a namespace of its own, or it would be the host's")


def _learn_users(bundle: Bundle) -> None:
    """The mappings of a user namespace that is there already are what they are, and need not be said."""
    said = [name for name in MAPPINGS.values() if bundle.linux.get(name)]
    if bundle.users and not said:
        try:
            found = userns.maps(bundle.users)
        except OSError as exc:
            raise BadInput(f"linux.namespaces: {bundle.users} cannot be joined: {exc.strerror}") from exc
        for kind, name in MAPPINGS.items():
            bundle.linux[name] = [dict(zip(("containerID", "hostID", "size"), line)) for line in found[kind]]


def _check_users(bundle: Bundle, kinds: list[Any]) -> None:
    """Without a map nobody is root inside, and without a namespace a map means nothing."""
    for name in MAPPINGS.values():
        found = bundle.linux.get(name) or []
        _demand(bool(found) == ("user" in kinds), f"linux.{name} goes with a user namespace")
        starts = [entry.get("containerID") for entry in found]
        _demand(not found or 0 in starts, f"linux.{name}: there is no root, nobody is mapped to 0")


def _sysctl_namespace(name: str) -> str:
    if name.startswith("net."):
        return "network"
    if name in ("kernel.domainname", "kernel.hostname"):
        return "uts"
    return "ipc" if name.startswith(("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")) else "none"


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise BadInput(message)


def _complete(config: dict[str, Any], container_id: str, *, systemd: bool) -> None:
    """A cgroup of its own, and the devices that every container may use."""
    linux = config["linux"] = config.get("linux") or {}
    linux["cgroupsPath"] = cgroup_path(linux.get("cgroupsPath") or "", container_id, systemd=systemd)
    resources = linux["resources"] = linux.get("resources") or {}
    rules = resources.get("devices") or [{"allow": False, "access": "rwm"}]
    resources["devices"] = [*rules, *ALLOWED_DEVICES]


def cgroup_path(text: str, container_id: str, *, systemd: bool) -> str:
    """Where in each hierarchy: `slice:prefix:name` is what systemd would make of it; nothing is a place of ours."""
    if systemd and text.count(":") == 2:
        parent, prefix, name = text.split(":")
        unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
        return os.path.normpath("/" + "/".join([*_slices(parent), unit]))
    found = os.path.normpath("/" + text.lstrip("/")) if text else f"{DEFAULT_PARENT}/{container_id}"
    _demand(found != "/", "linux.cgroupsPath: the root of a hierarchy cannot be a container's")
    return found


def _slices(name: str) -> list[str]:
    """`a-b.slice` is inside `a.slice` (systemd.slice(5))."""
    parts = name.removesuffix(".slice").split("-") if name and name != "-.slice" else []
    return ["-".join(parts[: count + 1]) + ".slice" for count in range(len(parts))]


def owns_pids(bundle: Bundle) -> bool:
    """Whether all of the container ends with its first process: it is that of a pid namespace."""
    return bundle.makes(libc.CLONE_NEWPID)
