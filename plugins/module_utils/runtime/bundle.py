# SPDX-License-Identifier: GPL-3.0-or-later
"""An OCI bundle: a directory with `config.json` (OCI runtime specification, config.md and config-linux.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..linux import libc
from ..linux.mount_options import PROPAGATION
from .state import stamp

NAMESPACES = {
    "mount": libc.CLONE_NEWNS,
    "uts": libc.CLONE_NEWUTS,
    "ipc": libc.CLONE_NEWIPC,
    "pid": libc.CLONE_NEWPID,
    "network": libc.CLONE_NEWNET,
    "cgroup": libc.CLONE_NEWCGROUP,
    "user": libc.CLONE_NEWUSER,
    "time": libc.CLONE_NEWTIME,
}
# These do not take in the process that makes or joins them, but the children that it has from then on.
OF_CHILDREN = libc.CLONE_NEWPID | libc.CLONE_NEWTIME
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG = "config.json"
ANNOTATION_HEALTH = "mini.containers/healthcheck"
ANNOTATION_AFTERWARDS = "mini.containers/afterwards"
IDMAPPED = "mini.containers/idmapped"
SUBTREE = "mini.containers/subtree"  # of a new file system: the directory in it that is mounted instead of the whole
USERS = "mini.containers/users"  # of a mount: the descriptor of a user namespace that its files are mapped by
WITHIN = "mini.containers/within"  # of a mount, beside the specification's keys: where its source must lie
ANNOTATION_STATE = "mini.containers/state"
ANNOTATION_EXIT = "mini.containers/exit"
ANNOTATION_LOG = "mini.containers/log"
ANNOTATION_LOG_SIZE = "mini.containers/log-size"
ANNOTATION_LOG_FILES = "mini.containers/log-files"
ANNOTATION_RESTART = "mini.containers/restart"
ANNOTATION_STDIN = "mini.containers/stdin"
STDIN_OPEN = "open"
ANNOTATION_SECCOMP = "mini.containers/seccomp"


class Bundle(NamedTuple):
    """A bundle, read. `config` is the whole document, `stamp` says which version of its file."""

    directory: str
    config: dict[str, Any]
    stamp: str = ""

    def current(self) -> Bundle:
        """The bundle as it is by now: its file is read again only where it is another one, or only a part is here."""
        same = self.stamp == stamp(_config(self.directory)) and "root" in self.config
        return self if same else load(self.directory)

    def watched(self) -> Bundle:
        """What of it a monitor has to keep: all of it only where a health check runs further processes."""
        if self.text(ANNOTATION_HEALTH):
            return self
        kept = {
            "annotations": self.config["annotations"],
            "linux": {"cgroupsPath": self.cgroup_path},
            "process": {"terminal": self.process.get("terminal", False)},
        }
        return Bundle(self.directory, kept, self.stamp)

    @property
    def process(self) -> dict[str, Any]:
        """The process to run."""
        found: dict[str, Any] = self.config["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        """The Linux section, possibly empty."""
        found: dict[str, Any] = self.config.get("linux") or {}
        return found

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """The mounts, in order."""
        found: list[dict[str, Any]] = self.config.get("mounts") or []
        return found

    @property
    def root_path(self) -> str:
        """The root's directory on the host."""
        return os.path.join(self.directory, self.config["root"]["path"])

    @property
    def resources(self) -> dict[str, Any]:
        """The limits."""
        found: dict[str, Any] = self.linux.get("resources") or {}
        return found

    @property
    def cgroup_path(self) -> str:
        """The cgroup, from the root of every hierarchy."""
        found: str = self.linux["cgroupsPath"]
        return found

    @property
    def propagation(self) -> int:
        """What is to become of the root mount's propagation; 0 for nothing."""
        return PROPAGATION.get(self.linux.get("rootfsPropagation", ""), 0)

    def annotation(self, name: str) -> str:
        """A path that the engine wants to be used, relative to the bundle or absolute."""
        return os.path.join(self.directory, self.config["annotations"][name])

    def text(self, name: str) -> str:
        """An annotation that need not be there."""
        found: str = self.config.get("annotations", {}).get(name, "")
        return found

    def namespaces(self) -> Iterator[tuple[int, str]]:
        """Each namespace of its own: the flag of its kind, and the path of the one to join, empty for a new one."""
        for entry in self.linux.get("namespaces", ()):
            yield NAMESPACES[entry["type"]], entry.get("path", "")

    @property
    def users(self) -> str:
        """The path of the user namespace that the container has for itself, empty when it has the host's."""
        return next((path for flag, path in self.namespaces() if flag == libc.CLONE_NEWUSER), "")

    def on_host(self, uid: int, gid: int) -> tuple[int, int]:
        """Who the host takes a user and a group of the container for; -1 for who is not mapped."""
        if not self.users:
            return uid, gid
        return _mapped(self.linux["uidMappings"], uid), _mapped(self.linux["gidMappings"], gid)

    def owns(self, flag: int) -> bool:
        """Whether the container has a namespace of this kind that is not simply its creator's."""
        return any(kind == flag for kind, _path in self.namespaces())

    def makes(self, flag: int) -> bool:
        """Whether a namespace of this kind is to be made."""
        return (flag, "") in self.namespaces()

    @property
    def hooks(self) -> dict[str, list[dict[str, Any]]]:
        """The programs to run on the way, by the occasion."""
        found: dict[str, list[dict[str, Any]]] = self.config.get("hooks") or {}
        return found


def load(directory: str) -> Bundle:
    """Read the bundle in `directory`."""
    path = _config(directory)
    version = stamp(path)
    with open(path, "rb") as handle:
        return Bundle(directory, json.loads(handle.read()), version)


def _config(directory: str) -> str:
    return os.path.join(directory, CONFIG)


def environment(process: dict[str, Any], home: str) -> dict[bytes, bytes]:
    """The process's environment, from nothing: the list of the bundle, and HOME when it is not in it, or empty.

    An entry without `=` is malformed and dropped; of two with the same name the later one counts.
    """
    found: dict[bytes, bytes] = {}
    for entry in process.get("env", ()):
        name, separator, value = entry.partition("=")
        if separator and name:
            found[os.fsencode(name)] = os.fsencode(value)
    if not found.get(b"HOME"):
        found[b"HOME"] = os.fsencode(home or "/")
    return found


def _mapped(mappings: list[dict[str, Any]], number: int) -> int:
    for line in mappings:
        if 0 <= number - line["containerID"] < line["size"]:
            return int(line["hostID"]) + number - int(line["containerID"])
    return -1
