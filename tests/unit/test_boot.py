# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done at boot: who is due, the unit, and the files that the program needs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.boot import install, systemd
from ansible_collections.mini.containers.plugins.module_utils.engine.boot.install import Seen
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.ending import is_due
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import ContainerRecord
from ansible_collections.mini.containers.plugins.module_utils.linux.process import boot_id
from ansible_collections.mini.containers.plugins.module_utils.runtime import state

THIS = {"boot_id": boot_id(), "pid": 1, "start_time": 0}
EARLIER = {**THIS, "boot_id": "an earlier boot"}
WANTED = Seen(True, "new", "text", enabled=True, active=True)


@pytest.mark.parametrize(
    ("policy", "wanted", "ended", "due"),
    [
        ("no", "started", None, False),
        ("always", "", None, False),
        ("always", "started", None, True),
        ("always", "stopped", {"exit_code": 0}, True),
        ("unless-stopped", "started", {"exit_code": 0}, True),
        ("unless-stopped", "stopped", {"exit_code": 0}, False),
        ("on-failure", "started", None, True),
        ("on-failure", "started", {"exit_code": 0}, False),
        ("on-failure", "started", {"exit_code": 3}, True),
        ("on-failure", "started", {"exit_code": 3, "restart_count": 2}, False),
        ("on-failure", "stopped", {"exit_code": 143}, False),
    ],
)
@pytest.mark.parametrize("wiped", [True, False])
def test_who_is_due_at_boot(
    tmp_path: Path, policy: str, wanted: str, ended: dict[str, Any] | None, due: bool, wiped: bool
) -> None:
    paths, record = _record(tmp_path, policy, wanted)
    if ended:
        state.write(paths.exit(record.id), {"status": "exited", **ended})
    if not wiped:
        run = {"status": "exited", **ended} if ended else {"status": "running"}
        state.write(paths.run_state(record.id), {**run, "init": EARLIER, "monitor": EARLIER})
        Path(paths.run(record.id, "stop")).touch()
    assert is_due(paths, record) is due


@pytest.mark.parametrize(
    ("found", "stopped", "due"),
    [
        ({"status": "exited", "exit_code": 1}, False, False),
        ({"status": "running"}, True, False),
        ({"status": "running"}, False, True),
    ],
)
def test_who_is_due_when_the_host_has_been_up_for_long(
    tmp_path: Path, found: dict[str, Any], stopped: bool, due: bool
) -> None:
    """A reload mends; it starts nobody who is down for a reason."""
    paths, record = _record(tmp_path, "always", "started")
    state.write(paths.run_state(record.id), {**found, "init": THIS, "monitor": THIS})
    if stopped:
        Path(paths.run(record.id, "stop")).touch()
    assert is_due(paths, record) is due


def _record(tmp_path: Path, policy: str, wanted: str) -> tuple[Paths, ContainerRecord]:
    spec = ContainerSpec("c", restart_policy=policy, restart_retries=2)
    return Paths(str(tmp_path / "state"), str(tmp_path / "run")), ContainerRecord(
        "c" * 64, "c", "", spec, "", wanted=wanted
    )


@pytest.mark.parametrize(
    ("seen", "present", "absent"),
    [
        (Seen(), ["write-code"], []),
        (Seen(code="new"), [], ["remove-code"]),
        (Seen(True), ["write-code", "write-unit", "enable-unit", "start-unit"], []),
        (WANTED, [], ["disable-unit", "remove-unit", "remove-code"]),
        (replace(WANTED, shared=True), [], ["disable-unit", "remove-code"]),
        (replace(WANTED, code="old"), ["write-code"], ["disable-unit", "remove-unit", "remove-code"]),
        (replace(WANTED, text="old"), ["write-unit"], ["disable-unit", "remove-unit", "remove-code"]),
        (replace(WANTED, enabled=False), ["enable-unit"], ["disable-unit", "remove-unit", "remove-code"]),
        (replace(WANTED, active=False), ["start-unit"], ["disable-unit", "remove-unit", "remove-code"]),
    ],
)
def test_the_plan(seen: Seen, present: list[str], absent: list[str]) -> None:
    paths = Paths("/var/lib/mini")
    assert [step.name for step in install.plan_present(paths, seen, WANTED)] == present
    assert [step.name for step in install.plan_absent(paths, seen)] == absent


@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        ("/var/lib/mini", "var-lib-mini"),
        ("/", "-"),
        ("/srv//my-state/", "srv-my\\x2dstate"),
        ("/.hidden/ä b", "\\x2ehidden-\\xc3\\xa4\\x20b"),
    ],
)
def test_a_path_as_an_instance(path: str, escaped: str) -> None:
    assert systemd.escape_path(path) == escaped
    program = shutil.which("systemd-escape")
    if program:
        done = subprocess.run([program, "-p", path], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == escaped
