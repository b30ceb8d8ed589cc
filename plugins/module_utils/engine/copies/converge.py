# SPDX-License-Identifier: GPL-3.0-or-later
"""One copy: look at both sides, plan, apply, under the container's lock."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Optional, Union

from ...core.errors import BadInput, NotFound
from ...core.paths import Paths
from ...core.plan import Observer, Plan, Step, apply, silent
from ...image.replica import opened
from ...linux.files import locked
from ...linux.fsids import files_made_by
from ...runtime import users
from ...runtime.report import StepError
from ..containers.record import ContainerRecord, id_of, whole
from ..containers.root import Root, root_of
from .actions import Actions
from .place import Place, changing, enter, find
from .plan import plan
from .source import Content, Tree, beginning
from .spec import CopySpec

MAX_SHOWN = 100 * 1024
KERNEL = frozenset((b"dev", b"proc", b"sys"))


class Outcome(NamedTuple):
    """What was done, or would be, and where. `before` and `after` are a file's content, as much as a diff shows."""

    plan: Plan
    path: str
    before: Optional[bytes] = None
    after: Optional[bytes] = None


def copy(
    paths: Paths, spec: CopySpec, *, check: bool = False, diff: bool = False, observer: Observer = silent
) -> Outcome:
    """Make the copy equal to its original; with `check` say only what that would take."""
    record = whole(paths, id_of(paths, spec.container))
    if record is None and check:
        return Outcome(_presumed(spec), spec.outside if spec.out else spec.inside)
    if record is None:
        raise NotFound(f"container {spec.container} does not exist", hint="make it with mini_container first")
    lock = locked(paths.lock("container", record.name), f"container {record.name}")
    read_only = check or spec.out or record.spec.read_only
    with contextlib.nullcontext() if check else lock, root_of(paths, record, read_only=read_only) as root:
        owner = _owner(spec, record, root)
        with _host() as host, _ends(spec, root.fd, host) as (source, target), _maker(root):
            steps = plan(spec, source, target, owner)
            outcome = Outcome(steps, target.path, *(_contents(source, target, steps) if diff else ()))
            if not check:
                apply(steps, Actions(source, target).table(), observer)
            return outcome


def _presumed(spec: CopySpec) -> Plan:
    """Check mode's plan for a container that an earlier task of the play would have made."""
    reason = f"container {spec.container} does not exist yet"
    return Plan.of([Step("create", spec.outside if spec.out else spec.inside, reason)])


@contextlib.contextmanager
def _host() -> Iterator[int]:
    with opened(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        yield fd


@contextlib.contextmanager
def _ends(spec: CopySpec, root: int, host: int) -> Iterator[tuple[Union[Tree, Content], Place]]:
    """Where the copy comes from and where it goes.

    A link that stands on the host in place of a copy may be an earlier copy of the container's: it is replaced.
    """
    if spec.content is not None:
        if enter(root, spec.inside, "") != spec.inside or spec.inside.endswith("/"):
            raise BadInput(f"{spec.inside} in {spec.container} is a directory", hint="give the path of a file")
        with find(root, spec.inside, follow=spec.follow) as target:
            yield Content(spec.content), target
        return
    inside, outside = (root, spec.inside, spec.follow), (host, spec.outside, spec.local_follow and not spec.out)
    (from_root, from_path, from_follow), (to_root, to_path, to_follow) = (
        (inside, outside) if spec.out else (outside, inside)
    )
    trusted = not spec.out
    with find(from_root, from_path, follow=from_follow) as origin:
        source = Tree(origin, KERNEL if spec.out and os.path.normpath(from_path) == "/" else ())
        if from_follow and source.is_link:
            raise changing(from_path)
        if not source.is_directory:
            to_path = enter(to_root, to_path, os.path.basename(from_path), trusted=trusted)
        with find(to_root, to_path, follow=to_follow, trusted=trusted) as target:
            yield source, target


def _owner(spec: CopySpec, record: ContainerRecord, root: Root) -> tuple[int, int]:
    """The owner of the copies, as it is seen from here."""
    if spec.out:
        return spec.owner or (os.geteuid(), os.getegid())
    uid, gid = spec.owner or _user(record, root.fd)
    return root.first + uid, root.first + gid


def _maker(root: Root) -> AbstractContextManager[None]:
    """Who makes files in a container that has users of its own, as long as they have no owner yet."""
    return files_made_by(root.first, root.first) if root.first else contextlib.nullcontext()


def _user(record: ContainerRecord, root: int) -> tuple[int, int]:
    """Who the container's process is: the owner of what is put into it."""
    try:
        found = users.resolve(root, record.spec.user or record.image_config.user)
    except StepError as exc:
        raise BadInput(exc.message, hint="give owner_id and group_id") from exc
    return found.uid, found.gid


def _contents(source: Union[Tree, Content], target: Place, steps: Plan) -> tuple[Optional[bytes], Optional[bytes]]:
    """Of a file that is made or replaced, the old and the new content.

    One that comes with the task is no_log, and that before it was as secret.
    """
    if isinstance(source, Content) or source.is_directory or not steps or steps.steps[0].name == "set-attributes":
        return None, None
    member = steps.steps[0].detail["member"]
    if member.link:
        return None, None
    return beginning(target, MAX_SHOWN + 1) or b"", source.read(member, MAX_SHOWN + 1)
