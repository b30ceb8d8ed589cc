# SPDX-License-Identifier: GPL-3.0-or-later
"""How a task ends that cannot use its state root."""

from __future__ import annotations

import errno
from typing import Any, Optional

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import HostLacks, MiniError, StepFailed
from ansible_collections.mini.containers.plugins.module_utils.glue.task import run_task


class Module:
    """As much of an AnsibleModule as ends a task."""

    def __init__(self, **params: Any) -> None:
        self.params = params
        self.failure: Optional[dict[str, Any]] = None

    def fail_json(self, **result: Any) -> None:
        self.failure = result

    def exit_json(self, **result: Any) -> None:
        raise AssertionError("the task did not fail")


def end(error: Exception, state_root: str = "/srv/mini") -> dict[str, Any]:
    def work(module: Any, paths: Any) -> dict[str, Any]:
        raise error

    module = Module(state_root=state_root)
    run_task(module, work)  # type: ignore[arg-type]
    assert module.failure
    return module.failure


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EROFS, errno.EACCES])
def test_a_state_root_that_cannot_be_used_is_named(number: int) -> None:
    failure = end(OSError(number, "reason", "/srv/mini/layer/tmp"))
    assert failure["msg"].endswith("; state_root (/srv/mini) must be a directory that root may write to")
    assert failure["error"]["errno"] == number


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "reason", "/elsewhere"),
        OSError(errno.ENOSPC, "reason", "/srv/mini/layer/tmp"),
        StepFailed("it failed", errno=errno.EROFS, path="/srv/mini/x", hint="the way out"),
        HostLacks("no iptables"),
    ],
)
def test_other_failures_say_nothing_of_it(error: Exception) -> None:
    assert "state_root" not in end(error)["msg"]


@pytest.mark.parametrize(
    ("step", "number", "rc"),
    [
        ("exec", errno.ENOENT, 127),
        ("exec", errno.EACCES, 126),
        ("exec", errno.ENOEXEC, 126),
        ("user", errno.ENOENT, None),
    ],
)
def test_a_program_that_cannot_be_run_has_an_exit_code(step: str, number: int, rc: Optional[int]) -> None:
    failure = end(StepFailed("it failed", step=step, errno=number))
    assert failure.get("rc") == failure.get("status") == rc


def test_a_relative_state_root_is_refused() -> None:
    assert (
        end(MiniError("never asked"), "state")["msg"] == "state_root: 'state' is not an absolute path; begin it with /"
    )
