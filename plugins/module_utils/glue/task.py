# SPDX-License-Identifier: GPL-3.0-or-later
"""From an AnsibleModule to the engine and back: the only code that ends a task.

`fail_json` raises SystemExit, which rollback code would miss; so the engine raises `MiniError` and only this file
turns it into a failure.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ..core.errors import BadInput, MiniError, StepFailed
from ..core.paths import DEFAULT_STATE_ROOT, Paths
from ..core.plan import Plan

STATE_ROOT_OPTION: dict[str, Any] = {"state_root": {"type": "path", "default": DEFAULT_STATE_ROOT}}
KEEP = "MINI_KEEP"  # set by the action plugin: the name under which the code is kept for the next tasks
_EXIT_CODES = {errno.ENOENT: 127, errno.ENOTDIR: 127, errno.EACCES: 126, errno.EISDIR: 126, errno.ENOEXEC: 126}
# What the system says of a state root that is no directory, or one that cannot be written to.
UNFIT = (errno.ENOTDIR, errno.EROFS, errno.EPERM, errno.EACCES)


def run_task(module: AnsibleModule, work: Callable[[AnsibleModule, Paths], dict[str, Any]]) -> None:
    """Call `work` and end the task with what it returns, or with its error as one sentence."""
    if KEEP in os.environ:
        from .kept import keep

        keep(os.environ.pop(KEEP))
    try:
        result = work(module, paths_of(module.params))
    except MiniError as exc:
        _fail(module, exc)
    except OSError as exc:
        _fail(module, StepFailed.from_os("finish the task", exc))
    else:
        module.exit_json(**result)


def paths_of(params: Mapping[str, Any]) -> Paths:
    """Where the task's objects are. A relative path would depend on where Ansible happens to run the module."""
    state_root = params.get("state_root") or DEFAULT_STATE_ROOT
    if not state_root.startswith("/"):
        raise BadInput(f"state_root: {state_root!r} is not an absolute path", hint="begin it with /")
    return Paths(state_root)


def _fail(module: AnsibleModule, failure: MiniError) -> None:
    root = module.params.get("state_root") or DEFAULT_STATE_ROOT
    if failure.errno in UNFIT and failure.hint is None and (failure.path or "").startswith(root):
        failure.hint = f"state_root ({root}) must be a directory that root may write to"
    module.fail_json(**failure_result(failure))


def failure_result(failure: MiniError) -> dict[str, Any]:
    """The keys of a task that failed: for people, for programs, and as a shell says it that has no such program."""
    return {"msg": str(failure), "error": failure.as_dict(), **_exit_code(failure)}


def _exit_code(failure: MiniError) -> dict[str, int]:
    """A program that could not be run has the exit code that a shell gives it (POSIX, Shell Command Language)."""
    found = _EXIT_CODES.get(failure.errno or 0) if failure.step == "exec" else None
    return {"rc": found, "status": found} if found else {}


def say_presumed(module: AnsibleModule, lacks: Iterable[str]) -> None:
    """What check mode takes for granted: an earlier task of the same play may be the one that would make it."""
    for lack in lacks:
        module.warn(f"{lack}: check mode takes it that an earlier task would have made it")


def plan_result(module: AnsibleModule, plan: Plan, **facts: Any) -> dict[str, Any]:
    """The keys every converging module returns: `changed`, `actions`, with `--diff` the plan, and the facts."""
    result: dict[str, Any] = {"changed": bool(plan), "actions": [step.name for step in plan], **facts}
    if module._diff:
        result["diff"] = {"prepared": "".join(f"{line}\n" for line in plan.describe())}
    return result
