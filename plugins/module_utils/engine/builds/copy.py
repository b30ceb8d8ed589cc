# SPDX-License-Identifier: GPL-3.0-or-later
"""COPY and ADD: what is taken, who owns it then, and which archives are unpacked."""

from __future__ import annotations

import os

from ...core.errors import BadInput
from ...image.containerfile.patterns import ignore
from ...image.replica import opened
from ...image.workspace import Workspace
from . import archives, users
from .copying import Copier, Dress
from .sources import Tree
from .works import Copy
from .workshop import directory

ROOT = (0, 0)


def copy(work: Copy, tree: Tree, root: int, space: Workspace, time_ns: int) -> None:
    """Into the open root of a stage. What has no time of its own gets `time_ns`.

    Files of a context become root's; those of a stage, and those in an archive, keep their owners, unless --chown names
    one for all.
    """
    asked = users.owner(root, work.owner) if work.owner else None
    copier = Copier(root, Dress(asked or (None if tree.owned else ROOT), work.mode, trusted=tree.owned))
    unpacking = Copier(root, Dress(asked, work.mode, trusted=True))
    tree = tree._replace(exclude=ignore(work.exclude))
    for source in work.sources:
        paths = tree.find(source)
        if len(paths) > 1 and not work.target.endswith("/"):
            raise BadInput(f"{source} is more than one file, so {work.target} must be a directory")
        for path in paths:
            if not (work.unpack and _unpacked(tree, path, unpacking, work.target, space)):
                copier.copy(tree, path, work.target)
    for document in work.contents:
        copier.write(document.content.encode(), document.name, work.target, time_ns)
    unpacking.finish()
    copier.finish()


def _unpacked(tree: Tree, path: str, copier: Copier, target: str, space: Workspace) -> bool:
    """Whether it is an archive; what is in it is at the target then."""
    if not tree.is_file(path):
        return False
    place = directory(space)
    with tree.open(path) as fd:
        if not archives.is_archive(fd):
            return False
        archives.unpack_into(fd, place)
    with opened(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
        copier.copy(Tree(root, owned=True), "", target)
    return True
