# SPDX-License-Identifier: GPL-3.0-or-later
"""That a state root's containers come back at boot: the code below the state root, and systemd's unit that runs it.

The code is the version of whoever changed something last: a task that changes a container replaces it (`refresh`), so
at boot the records are read by code that knows them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from ...core.paths import Paths
from ...core.plan import Action, Observer, Plan, Step, apply, silent
from ...linux.files import read_text, sync_dir, write_atomic
from .. import program
from . import systemd, unit
from .files import PROGRAM


@dataclass(frozen=True)
class Seen:
    """What there is. Without systemd there is only the code, which something else may call at boot.

    `shared` says that other state roots have an instance of the unit.
    """

    systemd: bool = False
    code: str = ""
    text: str = ""
    enabled: bool = False
    active: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Boot:
    """What a task is told. `command` is what the unit runs."""

    plan: Plan
    unit: str
    command: tuple[str, ...]


def converge(paths: Paths, state: str, *, check: bool = False, observer: Observer = silent) -> Boot:
    """`present` or `absent`."""
    seen = observe(paths)
    plan = plan_present(paths, seen, wanted()) if state == "present" else plan_absent(paths, seen)
    if not check:
        apply(plan, actions(paths), observer)
    name = unit.instance(paths.state_root) if seen.systemd else ""
    return Boot(plan, name, (sys.executable, "-I", paths.boot, "reconcile", paths.state_root))


def refresh(paths: Paths) -> None:
    """Let the code that is run at boot be of our version, if there is any."""
    if os.path.islink(paths.boot):
        _write_code(paths)


def wanted() -> Seen:
    """What there should be."""
    return Seen(True, program.version(PROGRAM), unit.text(sys.executable), enabled=True, active=True)


def observe(paths: Paths) -> Seen:
    """Reads only."""
    code = _code(paths)
    if not systemd.booted():
        return Seen(code=code)
    name = unit.instance(paths.state_root)
    return Seen(
        True,
        code,
        read_text(_unit_file(), default=""),
        enabled=systemd.is_enabled(name),
        active=systemd.is_active(name),
        shared=bool(set(systemd.enabled_instances(unit.TEMPLATE)) - {name}),
    )


def plan_present(paths: Paths, seen: Seen, wanted: Seen) -> Plan:
    """Pure."""
    name = unit.instance(paths.state_root)
    steps = []
    if seen.code != wanted.code:
        steps.append(Step("write-code", paths.boot, "another version" if seen.code else ""))
    if seen.systemd and seen.text != wanted.text.strip():
        reason = "it differs" if seen.text else ""
        steps.append(Step("write-unit", unit.TEMPLATE, reason, detail={"text": wanted.text}))
    if seen.systemd and not seen.enabled:
        steps.append(Step("enable-unit", name))
    if seen.systemd and not seen.active:
        steps.append(Step("start-unit", name))
    return Plan.of(steps)


def plan_absent(paths: Paths, seen: Seen) -> Plan:
    """Pure. The unit file stays while it has other instances."""
    name = unit.instance(paths.state_root)
    steps = [Step("disable-unit", name)] if seen.enabled or seen.active else []
    if seen.text and not seen.shared:
        steps.append(Step("remove-unit", unit.TEMPLATE))
    if seen.code:
        steps.append(Step("remove-code", paths.boot))
    return Plan.of(steps)


def actions(paths: Paths) -> Mapping[str, Action]:
    """Step name → action."""
    return {
        "write-code": Action(lambda _step: _write_code(paths)),
        "write-unit": Action(_write_unit),
        "enable-unit": Action(lambda step: systemd.systemctl("enable", "--quiet", step.target)),
        # Not waited for: a container that does not start is no failure of this task.
        "start-unit": Action(lambda step: systemd.systemctl("start", "--no-block", step.target)),
        "disable-unit": Action(lambda step: systemd.systemctl("disable", "--quiet", "--now", step.target)),
        "remove-unit": Action(_remove_unit),
        "remove-code": Action(lambda _step: os.unlink(paths.boot)),
    }


def _code(paths: Paths) -> str:
    """The version that is linked, empty when there is none."""
    try:
        target = os.readlink(paths.boot)
    except OSError:
        return ""
    return target if os.path.isdir(os.path.join(paths.runtimes, target)) else ""


def _write_code(paths: Paths) -> None:
    """The directory first, then the link, which is replaced in one step."""
    if _code(paths) == program.version(PROGRAM):
        return
    directory = program.installed(paths, PROGRAM)
    temporary = f"{paths.boot}.{os.getpid()}.tmp"
    os.symlink(os.path.basename(directory), temporary)
    os.rename(temporary, paths.boot)
    sync_dir(paths.runtimes)


def _unit_file() -> str:
    return os.path.join(systemd.UNITS, unit.TEMPLATE)


def _write_unit(step: Step) -> None:
    write_atomic(_unit_file(), step.detail["text"].encode(), 0o644)
    systemd.systemctl("daemon-reload")


def _remove_unit(_step: Step) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_unit_file())
    systemd.systemctl("daemon-reload")
