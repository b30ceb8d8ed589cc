# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a copy differs from its original, as steps. Both sides are looked at; nothing is written.

A directory that is there already keeps its mode and owner, and what else is in it stays.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Optional, Union

from ...core.errors import BadInput, Conflict
from ...core.plan import Plan, Step
from ...image.replica import Look, open_file, opened
from .place import Place, changing
from .source import KINDS, Content, Member, Tree
from .spec import CopySpec

_PLAIN = 0o777  # what is copied out of a container gives nobody on the host the rights of its owner


def plan(spec: CopySpec, source: Union[Tree, Content], target: Place, owner: tuple[int, int]) -> Plan:
    """What has to be made, replaced or changed at the target, and why."""
    if spec.mode is not None and source.is_directory:
        raise BadInput("mode: it is for a file, and the source is a directory", hint="leave mode out")
    return Plan.of(_steps(spec, source, target, owner))


def _steps(spec: CopySpec, source: Union[Tree, Content], target: Place, owner: tuple[int, int]) -> Iterator[Step]:
    for member in source.members():
        if member.kind not in KINDS:
            raise BadInput(f"{spec.outside or spec.inside} is neither a file nor a directory nor a link")
        look = wanted(spec, member, owner)
        name, reason = _difference(spec, source, member, look, target)
        if name == "replace" and target.is_mount(member.path):
            shown = target.shown(member.path)
            raise Conflict(f"{shown} is a mount of its own, which a copy cannot replace", hint="change its source")
        if name:
            yield Step(name, target.shown(member.path), reason, detail={"member": member, "look": look})


def wanted(spec: CopySpec, member: Member, owner: tuple[int, int]) -> Look:
    """What the copy of a member looks like."""
    mode = member.look.mode & _PLAIN if spec.out else member.look.mode
    if spec.mode is not None and member.kind == stat.S_IFREG:
        mode = spec.mode
    return Look(*owner, mode, member.look.mtime_ns)


def _difference(
    spec: CopySpec, source: Union[Tree, Content], member: Member, look: Look, target: Place
) -> tuple[str, str]:
    """The name of the step and its reason; both empty when there is nothing to do."""
    found = target.stat(member.path)
    if found is None:
        return "create", f"the {KINDS[member.kind]} does not exist"
    kind = stat.S_IFMT(found.st_mode)
    if spec.force is False and kind != stat.S_IFDIR:
        return "", ""
    if kind != member.kind:
        return "replace", f"it is {KINDS.get(kind, 'something else')} and not {KINDS[member.kind]}"
    if kind == stat.S_IFDIR:
        return "", ""
    reason = "the task says force" if spec.force else _news(source, member, target, found)
    if reason:
        return "replace", reason
    reason = ", ".join(_looks_different(look, found))
    return ("set-attributes", reason) if reason else ("", "")


def _news(source: Union[Tree, Content], member: Member, target: Place, found: os.stat_result) -> Optional[str]:
    with target.opened(member.path) as (parent, name):
        try:
            if member.kind == stat.S_IFLNK:
                return None if os.readlink(name, dir_fd=parent) == member.link else "it points elsewhere"
            if found.st_size != member.size:
                return f"its size is {found.st_size}, not {member.size}"
            with opened(open_file(parent, name)) as fd:
                return None if source.same(member, fd) else "its content differs"
        except OSError as exc:
            raise changing(target.shown(member.path)) from exc


def _looks_different(look: Look, found: os.stat_result) -> Iterator[str]:
    if not stat.S_ISLNK(found.st_mode) and stat.S_IMODE(found.st_mode) != look.mode:
        yield f"mode {stat.S_IMODE(found.st_mode):04o} → {look.mode:04o}"
    if (found.st_uid, found.st_gid) != (look.uid, look.gid):
        yield f"owner {found.st_uid}:{found.st_gid} → {look.uid}:{look.gid}"
