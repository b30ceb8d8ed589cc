# SPDX-License-Identifier: GPL-3.0-or-later
"""`volumes`, `mounts` and `tmpfs`: three ways to write one list."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

from ..core.errors import BadInput
from ..core.names import check_name
from ..core.specs.volume import Inherited, Mount
from ..image import reference
from .options import table
from .options import text as text_of
from .tmpfs import memory
from .volume import refuse_options

_FORM = "write it as source:/target, source:/target:ro or /target"
# What means nothing here: labels of SELinux, and how late a virtual machine's file system may be.
_IGNORED = frozenset("rw z Z consistent cached delegated".split())
_NO_COPY = frozenset(("nocopy", "volume-nocopy"))
SHARED = ("rshared", "shared")
PROPAGATION = ("rprivate", "private", "rslave", "slave", *SHARED)
# The fields of an entry of `mounts` that belong to one type alone.
_ONLY = {
    "propagation": ("bind",),
    "create_mountpoint": ("bind",),
    "non_recursive": ("bind",),
    "read_only_non_recursive": ("bind",),
    "read_only_force_recursive": ("bind",),
    "no_copy": ("volume",),
    "labels": ("volume",),
    "volume_driver": ("volume",),
    "volume_options": ("volume",),
    "subpath": ("volume", "image"),
    "tmpfs_size": ("tmpfs",),
    "tmpfs_mode": ("tmpfs",),
    "tmpfs_options": ("tmpfs",),
}
_NEEDS = {
    "bind": "a path on the host",
    "volume": "the name of a volume",
    "tmpfs": "empty: a tmpfs has none",
    "image": "the name of an image",
}
KINDS = tuple(_NEEDS)


def mounts(volumes: list[str], described: list[dict[str, Any]], tmpfs: list[str]) -> tuple[Mount, ...]:
    """All mounts in canonical order; a target may be named once only."""
    found = [*map(_volume, volumes), *map(_described, described), *map(_tmpfs, tmpfs)]
    found.sort(key=lambda mount: mount.target)
    for first, second in zip(found, found[1:]):
        if first.target == second.target:
            raise BadInput(f"volumes: {first.target} is the target of two mounts")
    return tuple(found)


def _volume(text: str) -> Mount:
    """`/host/path:/target[:modes]`, `name:/target[:modes]`, or `/target[:modes]` for an anonymous volume."""
    source, colon, rest = text.partition(":")
    target, further, modes = rest.partition(":")
    anonymous = not colon or bool(rest and not further and not _no_modes(rest))
    if anonymous:
        source, target, modes = "", source, rest
    given = set(filter(None, modes.split(",")))
    if not (source or anonymous) or _no_modes(modes) or {"ro", "rw"} <= given:
        raise BadInput(f"volumes: {text!r} is not a mount", hint=_FORM)
    propagation = next(iter(sorted(given & set(PROPAGATION))), "rprivate")
    found = _placed("volumes", text, source, target, "ro" in given, propagation)
    return replace(found, no_copy=bool(given & _NO_COPY) and found.kind == "volume")


def _no_modes(text: str) -> set[str]:
    """What of it is not a mode."""
    return set(filter(None, text.split(","))) - _IGNORED - _NO_COPY - set(PROPAGATION) - {"ro"}


def _placed(option: str, text: str, source: str, target: str, read_only: bool, propagation: str) -> Mount:
    place = _target(option, text, target)
    if re.match(r"~[^/]*(/|\Z)", source):
        source = os.path.expanduser(source)
    if source.startswith("/"):
        return Mount(place, os.path.normpath(source), read_only, "bind", propagation)
    if propagation in SHARED:
        raise BadInput(f"{option}: {text!r}: a volume cannot be {propagation}", hint="only a path of the host can")
    return Mount(place, check_name("volume", source) if source else "", read_only, "volume", propagation)


def _target(option: str, text: str, target: str) -> str:
    if not target.startswith("/") or os.path.normpath(target) == "/" or "\0" in target:
        raise BadInput(f"{option}: {text!r} is not a mount: the target must be a path below /", hint=_FORM)
    return "/" + os.path.normpath(target).lstrip("/")


def _described(entry: dict[str, Any]) -> Mount:
    """An entry of `mounts`."""
    kind, source, target = entry["type"], entry.get("source") or "", entry["target"]
    _check(kind, source, target, entry)
    read_only = bool(entry.get("read_only"))
    place = _target("mounts", target, target)
    if kind == "tmpfs":
        return memory("mounts", place, _memory(entry))
    if kind == "bind":
        return _bind(place, os.path.normpath(source), read_only, entry)
    if kind == "image":
        return Mount(place, _image(source), True, kind, subpath=_subpath(entry.get("subpath") or ""))
    _check_driver(target, entry)
    return Mount(
        place,
        check_name("volume", source) if source else "",
        read_only,
        kind,
        no_copy=bool(entry.get("no_copy")),
        subpath=_subpath(entry.get("subpath") or ""),
        labels=table("mounts: labels", entry.get("labels") or {}),
    )


def _image(name: str) -> str:
    """Its name in full; an id stays what it is."""
    by_id = reference.full_id(name) or reference.id_prefix(name)
    return name if by_id else str(reference.parse(name))


def _check(kind: str, source: str, target: str, entry: dict[str, Any]) -> None:
    path = source.startswith("/")
    fits = {"bind": path, "volume": not path, "tmpfs": not source, "image": bool(source) and not path}
    if not fits[kind]:
        raise BadInput(f"mounts: the source of {target} is {source!r}, not {_NEEDS[kind]}")
    for name, kinds in _ONLY.items():
        if entry.get(name) not in (None, False) and kind not in kinds:
            raise BadInput(f"mounts: {name} of {target} is for the type {' or '.join(kinds)}, not for {kind}")


def _bind(target: str, source: str, read_only: bool, entry: dict[str, Any]) -> Mount:
    """How far down it reaches is a question of its own, and how far down it can only be read another one."""
    flat, shallow, deep = (
        bool(entry.get(name)) for name in ("non_recursive", "read_only_non_recursive", "read_only_force_recursive")
    )
    if (shallow or deep) and not read_only:
        name = "read_only_non_recursive" if shallow else "read_only_force_recursive"
        raise BadInput(f"mounts: {name} of {target} says how it is read-only, which it is not", hint="give read_only")
    if deep and (shallow or flat):
        other = "read_only_non_recursive" if shallow else "non_recursive"
        raise BadInput(f"mounts: read_only_force_recursive of {target} contradicts {other}", hint="give one of them")
    return Mount(
        target,
        source,
        read_only,
        "bind",
        entry.get("propagation") or "rprivate",
        create=bool(entry.get("create_mountpoint")),
        non_recursive=flat,
        read_only_non_recursive=shallow,
        read_only_force_recursive=deep,
    )


def _check_driver(target: str, entry: dict[str, Any]) -> None:
    """A volume is a directory; there are no plugins that would make one of something else."""
    driver = entry.get("volume_driver") or "local"
    if driver != "local":
        raise BadInput(f"mounts: the volume_driver of {target} is {driver!r}, which is not there", hint="local is")
    refuse_options(f"mounts: volume_options of {target}", entry.get("volume_options"))


def _memory(entry: dict[str, Any]) -> list[str]:
    """Options of a tmpfs."""
    size, mode = entry.get("tmpfs_size"), entry.get("tmpfs_mode")
    found = [f"size={size}"] if size else []
    found += [f"mode={mode}"] if mode else []
    for option in entry.get("tmpfs_options") or ():
        if len(option) != 1:
            raise BadInput(f"mounts: tmpfs_options: {option!r} is not one name with its value", hint="one an entry")
        ((name, value),) = option.items()
        found.append(str(name) if value is None else f"{name}={text_of(f'tmpfs_options: {name}', value)}")
    return [*found, *(["ro"] if entry.get("read_only") else [])]


def _subpath(text: str) -> str:
    """A path inside of a volume. Where links in it lead is seen when it is mounted."""
    if text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise BadInput(f"mounts: the subpath {text!r} does not lie in the volume", hint="give a relative path")
    path = os.path.normpath(text)
    return "" if path == "." else path


def _tmpfs(text: str) -> Mount:
    """`/target[:options]`."""
    target, _colon, options = text.partition(":")
    return memory("tmpfs", _target("tmpfs", text, target), list(filter(None, options.split(","))))


def volumes_from(value: list[str]) -> tuple[Inherited, ...]:
    """`name`, `name:ro`; in the task's order."""
    found = []
    for text in value:
        name, _colon, mode = text.partition(":")
        if mode not in ("", "ro", "rw"):
            raise BadInput(f"volumes_from: {text!r} is not a container", hint="write it as name or name:ro")
        found.append(Inherited(check_name("container", name), mode == "ro"))
    return tuple(found)
