# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI bundle that our engine writes, for runtimes that take a plain directory as the root."""

from __future__ import annotations

import copy
import json
import resource
from pathlib import Path
from typing import Any

_INITIAL_ONLY = ("username", "umask")


def adapt(config: dict[str, Any], rootfs: Path, cgroup: str) -> dict[str, Any]:
    """The same confinement and limits; the root is a directory, the network namespace new and empty."""
    found = copy.deepcopy(config)
    found["root"] = {"path": str(rootfs), "readonly": False}
    found["mounts"] = [mount for mount in found["mounts"] if mount["destination"] != "/"]
    user = found["process"]["user"]
    found["process"]["user"] = {"uid": 0, "gid": 0, **{k: v for k, v in user.items() if k not in _INITIAL_ONLY}}
    for namespace in found["linux"]["namespaces"]:
        namespace.pop("path", None)
    found["process"]["rlimits"] = [_reachable(entry) for entry in found["process"]["rlimits"]]
    found["linux"]["cgroupsPath"] = cgroup
    found["linux"]["resources"] = _given(found["linux"]["resources"])
    found.pop("annotations", None)
    return found


def _reachable(entry: dict[str, Any]) -> dict[str, Any]:
    """As much as this process may give: our runtime takes less when it must, others fail."""
    ceiling = resource.getrlimit(getattr(resource, entry["type"]))[1]
    if ceiling == resource.RLIM_INFINITY:
        return entry
    return {**entry, "soft": min(entry["soft"], ceiling), "hard": min(entry["hard"], ceiling)}


def _given(resources: dict[str, Any]) -> dict[str, Any]:
    """Limits that are set: other runtimes write a zero as it is, and know no -1."""
    return {
        name: {key: value for key, value in section.items() if value not in (0, -1, "", [], False)}
        if isinstance(section, dict)
        else section
        for name, section in resources.items()
    }


def write(config: dict[str, Any], directory: Path) -> None:
    """`config.json` in `directory`."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
