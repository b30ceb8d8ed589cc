# SPDX-License-Identifier: GPL-3.0-or-later
"""How each step of a volume's plan is done, and taken back: the only writer of its record."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import replace
from typing import Callable

from ...core.paths import Paths
from ...core.plan import Action, Step
from ...core.specs.volume import VolumeSpec
from ...linux.files import make_private_dir, remove_tree
from ...runtime.state import now
from ..records import save, set_aside
from .observe import Observation
from .record import VolumeRecord

REPLACED = "replaced.tmp"


def actions(paths: Paths) -> dict[str, Action]:
    """The table for `core.plan.apply`."""

    def bound(function: Callable[[Paths, Step], None]) -> Callable[[Step], None]:
        return functools.partial(function, paths)

    return {
        "set-record-aside": Action(bound(_set_record_aside)),
        "empty-volume": Action(bound(_empty), bound(_give_back)),
        "write-volume": Action(bound(_write), bound(_restore)),
        "discard-content": Action(bound(_discard)),
        "remove-volume": Action(bound(_remove)),
    }


def _seen(step: Step) -> Observation:
    seen: Observation = step.detail["seen"]
    return seen


def _set_record_aside(paths: Paths, step: Step) -> None:
    set_aside(paths.volume_record(step.target))


def _empty(paths: Paths, step: Step) -> None:
    """The content goes only when all else is done; until then it is set aside."""
    _discard(paths, step)
    os.rename(paths.volume_data(step.target), paths.volume(step.target, REPLACED))


def _give_back(paths: Paths, step: Step) -> None:
    aside = paths.volume(step.target, REPLACED)
    if os.path.isdir(aside):
        remove_tree(paths.volume_data(step.target))
        os.rename(aside, paths.volume_data(step.target))


def _write(paths: Paths, step: Step) -> None:
    make_data(paths, step.target)
    save(new_record(step.detail["spec"], _seen(step), anew=step.detail["anew"]), paths.volume_record(step.target))


def new_record(spec: VolumeSpec, seen: Observation, *, anew: bool) -> VolumeRecord:
    """The record of what will be. A volume keeps its birthday while it keeps its content."""
    return VolumeRecord(spec, now()) if seen.record is None or anew else replace(seen.record, spec=spec)


def make_data(paths: Paths, name: str) -> None:
    """The directory of the content, whatever the umask."""
    make_private_dir(paths.volume(name))
    with contextlib.suppress(FileExistsError):
        os.mkdir(paths.volume_data(name), 0o755)
        os.chmod(paths.volume_data(name), 0o755)


def _restore(paths: Paths, step: Step) -> None:
    seen = _seen(step)
    if seen.record is not None:
        save(seen.record, paths.volume_record(step.target))
    elif not seen.directory:
        _remove(paths, step)


def _discard(paths: Paths, step: Step) -> None:
    remove_tree(paths.volume(step.target, REPLACED))


def _remove(paths: Paths, step: Step) -> None:
    remove(paths, step.target)


def remove(paths: Paths, name: str) -> None:
    """Content and record. The record goes last: what is interrupted can be done again."""
    remove_tree(paths.volume_data(name))
    remove_tree(paths.volume(name))
    with contextlib.suppress(OSError):  # others are still in it
        os.rmdir(paths.volumes)
