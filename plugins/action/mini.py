# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules of the collection share on the controller: their code is sent to a host once, not with every task.

Ansible sends a module, all that it imports and its own half with each task, and the host's Python reads and compiles
half a megabyte before it does a few milliseconds of work. So a task first sends `mini_kept` alone, two kilobytes that
run the module from the copy that the host keeps. A host that has none says so, and gets the module whole, with the
name under which to keep it. The name is a digest of all sources: another version never meets this one's copy.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Optional

from ansible.plugins.action.normal import ActionModule as Normal
from ansible.release import __version__ as ansible_version
from ansible.utils.vars import merge_hash
from ansible_collections.mini.containers.plugins.module_utils.core.paths import KEPT

_COLLECTION = "mini.containers"
_PLUGINS = Path(__file__).resolve().parent.parent


class ActionModule(Normal):
    """A task of any of our modules."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """The module's result. With `async` the module outlives the connection, and goes Ansible's way whole."""
        if self._task.async_val:
            result: dict[str, Any] = super().run(tmp, task_vars)
            return result
        module = f"{_COLLECTION}.{self._task.action.rpartition('.')[2]}"
        digest = _digest()
        try:
            own = super(Normal, self).run(tmp, task_vars)
            found = self._kept(module, digest, task_vars)
            if found.get("kept") is False:
                found = self._whole(module, digest, task_vars)
            return merge_hash(own, found)
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)

    def _kept(self, module: str, digest: str, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        asked = {"module": module, "tree": f"{KEPT}/{digest}", "arguments": dict(self._task.args)}
        result: dict[str, Any] = self._execute_module(f"{_COLLECTION}.mini_kept", asked, task_vars=task_vars)
        return result

    def _whole(self, module: str, digest: str, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        self._task.environment.append({"MINI_KEEP": digest})  # as ansible-core does for its async_wrapper
        try:
            result: dict[str, Any] = self._execute_module(module, dict(self._task.args), task_vars=task_vars)
            return result
        finally:
            self._task.environment.pop()


def _digest() -> str:
    """Of all that a module may bring along: our sources by content, Ansible's by version."""
    digest = hashlib.sha256(ansible_version.encode())
    for room in ("module_utils", "modules"):
        for path in sorted((_PLUGINS / room).rglob("*.py")):
            digest.update(b"%s\0" % str(path.relative_to(_PLUGINS)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]
