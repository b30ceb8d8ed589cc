# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a copy, each done whole: a file is there as it was or as it is to be."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import Union

from ...core.errors import Conflict
from ...core.plan import Action, Step
from ...image.replica import Look, open_file, opened, put_directory, put_file, put_link
from .place import Place
from .source import Content, Member, Tree


class Actions:
    """What the steps share: where they read and where they write."""

    def __init__(self, source: Union[Tree, Content], target: Place) -> None:
        self.source = source
        self.target = target

    def table(self) -> Mapping[str, Action]:
        """Step name → action. What was copied before a failure stays: the same task goes on from there."""
        return {
            "create": Action(self.put),
            "replace": Action(self.put),
            "set-attributes": Action(self.set_attributes),
        }

    def put(self, step: Step) -> None:
        """A new file, directory or link."""
        member, look = step.detail["member"], step.detail["look"]
        with self.target.opened(member.path) as (parent, name):
            try:
                self._put(parent, name, member, look)
            except OSError as exc:
                if exc.errno == errno.ENOTEMPTY:
                    raise Conflict(f"{step.target} is a directory with something in it", hint="remove it") from exc
                raise

    def _put(self, parent: int, name: bytes, member: Member, look: Look) -> None:
        if member.kind == stat.S_IFDIR:
            put_directory(parent, name, look)
        elif member.kind == stat.S_IFLNK:
            put_link(parent, name, look, member.link)
        else:
            put_file(parent, name, look, lambda fd: self._write(member, fd))

    def _write(self, member: Member, fd: int) -> None:
        self.source.write(member, fd)

    def set_attributes(self, step: Step) -> None:
        """Owner and mode of what is right otherwise; the owner first, since that takes setuid away."""
        member, look = step.detail["member"], step.detail["look"]
        with self.target.opened(member.path) as (parent, name):
            if member.kind == stat.S_IFLNK:
                os.chown(name, look.uid, look.gid, dir_fd=parent, follow_symlinks=False)
                return
            with opened(open_file(parent, name)) as fd:
                os.fchown(fd, look.uid, look.gid)
                os.fchmod(fd, look.mode)
