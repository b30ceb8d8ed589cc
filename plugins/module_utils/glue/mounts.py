# SPDX-License-Identifier: GPL-3.0-or-later
"""`volumes`, `mounts` and `tmpfs`: three ways to write one list."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs import Inherited, Mount
from ..core.units import parse_extent
from .options import table

_FORM = "write it as source:/target, source:/target:ro or /target"
_IGNORED = frozenset("rw z Z".split())
_NO_COPY = frozenset(("nocopy", "volume-nocopy"))
SHARED = ("rshared", "shared")
PROPAGATION = ("rprivate", "private", "rslave", "slave", *SHARED)
# The fields of an entry of `mounts` that belong to one type alone.
_ONLY = {
    "bind": ("propagation", "create_mountpoint"),
    "volume": ("no_copy", "subpath", "labels"),
    "tmpfs": ("tmpfs_size", "tmpfs_mode"),
}
_NEEDS = {"bind": "a path on the host", "volume": "the name of a volume", "tmpfs": "empty: a tmpfs has none"}


def mounts(volumes: list[str], described: list[dict[str, Any]], tmpfs: list[str]) -> tuple[Mount, ...]:
    """All mounts in canonical order; a target may be named once only."""
    found = [*map(_volume, volumes), *map(_described, described), *map(_tmpfs, tmpfs)]
    found.sort(key=lambda mount: mount.target)
    for first, second in zip(found, found[1:]):
        if first.target == second.target:
            raise BadInput(f"volumes: {first.target} is the target of two mounts")
    return tuple(found)


def _volume(text: str) -> Mount:
    """`/host/path:/target[:modes]`, `name:/target[:modes]`, or `/target` for an anonymous volume."""
    source, colon, rest = text.partition(":")
    target, _colon, modes = rest.partition(":")
    if not colon:
        return Mount(_target("volumes", text, source), "", kind="volume")
    given = set(filter(None, modes.split(",")))
    unknown = given - _IGNORED - _NO_COPY - set(PROPAGATION) - {"ro"}
    if not source or unknown:
        raise BadInput(f"volumes: {text!r} is not a mount", hint=_FORM)
    propagation = next(iter(sorted(given & set(PROPAGATION))), "rprivate")
    found = _placed("volumes", text, source, target, "ro" in given, propagation)
    return replace(found, no_copy=bool(given & _NO_COPY) and found.kind == "volume")


def _placed(option: str, text: str, source: str, target: str, read_only: bool, propagation: str) -> Mount:
    place = _target(option, text, target)
    if source.startswith("/"):
        return Mount(place, os.path.normpath(source), read_only, "bind", propagation)
    if propagation in SHARED:
        raise BadInput(f"{option}: {text!r}: a volume cannot be {propagation}", hint="only a path of the host can")
    return Mount(place, check_name("volume", source), read_only, "volume", propagation)


def _target(option: str, text: str, target: str) -> str:
    if not target.startswith("/") or os.path.normpath(target) == "/" or "\0" in target:
        raise BadInput(f"{option}: {text!r} is not a mount: the target must be a path below /", hint=_FORM)
    return "/" + os.path.normpath(target).lstrip("/")


def _described(entry: dict[str, Any]) -> Mount:
    """An entry of `mounts`."""
    kind, source, target = entry["type"], entry.get("source") or "", entry["target"]
    _check(kind, source, target, entry)
    if kind == "tmpfs":
        return _tmpfs(":".join([target, ",".join(_memory(entry))]))
    read_only = bool(entry.get("read_only"))
    place = _target("mounts", target, target)
    if kind == "bind":
        propagation, create = entry.get("propagation") or "rprivate", bool(entry.get("create_mountpoint"))
        return Mount(place, os.path.normpath(source), read_only, kind, propagation, create=create)
    return Mount(
        place,
        check_name("volume", source) if source else "",
        read_only,
        kind,
        no_copy=bool(entry.get("no_copy")),
        subpath=_subpath(entry.get("subpath") or ""),
        labels=table("mounts: labels", entry.get("labels") or {}),
    )


def _check(kind: str, source: str, target: str, entry: dict[str, Any]) -> None:
    fits = {"bind": source.startswith("/"), "volume": not source.startswith("/"), "tmpfs": not source}
    if not fits[kind]:
        raise BadInput(f"mounts: the source of {target} is {source!r}, not {_NEEDS[kind]}")
    for other, names in _ONLY.items():
        wrong = [name for name in names if entry.get(name) not in (None, False) and other != kind]
        if wrong:
            raise BadInput(f"mounts: {wrong[0]} of {target} is for the type {other}, not for {kind}")


def _memory(entry: dict[str, Any]) -> list[str]:
    """Options of a tmpfs."""
    size, mode = entry.get("tmpfs_size"), entry.get("tmpfs_mode")
    found = [f"size={parse_extent('tmpfs_size', size)}"] if size else []
    return [*found, *([f"mode={mode}"] if mode else []), *(["ro"] if entry.get("read_only") else [])]


def _subpath(text: str) -> str:
    """A path inside of a volume. Where links in it lead is seen when it is mounted."""
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise BadInput(f"mounts: the subpath {text!r} does not lie in the volume", hint="give a relative path")
    path = os.path.normpath(text)
    return "" if path == "." else path


def _tmpfs(text: str) -> Mount:
    """`/target[:options]`; safe options come first, so that they can be taken back."""
    target, _colon, options = text.partition(":")
    given = tuple(filter(None, options.split(",")))
    return Mount(_target("tmpfs", text, target), "tmpfs", "ro" in given, "tmpfs", "rprivate", given)


def volumes_from(value: list[str]) -> tuple[Inherited, ...]:
    """`name`, `name:ro`; in the task's order."""
    found = []
    for text in value:
        name, _colon, mode = text.partition(":")
        if mode not in ("", "ro", "rw"):
            raise BadInput(f"volumes_from: {text!r} is not a container", hint="write it as name or name:ro")
        found.append(Inherited(check_name("container", name), mode == "ro"))
    return tuple(found)
