#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in running containers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_container_exec
short_description: Run a command in a running container
version_added: 0.1.0
description:
  - Runs a command with the container's namespaces, limits, capabilities and environment, and waits for it.
  - As with M(ansible.builtin.command), the task is changed whenever the command ran, and fails when its code is not 0.
  - On its way in a command takes the place of two processes for a moment, where the limit on processes (pids_limit) of
    M(mini.containers.mini_container) counts them.
options:
  container:
    description: Name or id of the container.
    type: str
    required: true
    aliases: [name]
  command:
    description: The command, split as a shell would split it. No shell runs it.
    type: str
  argv:
    description: The command as a list.
    type: list
    elements: str
  chdir:
    description: Working directory. That of the container, when left out.
    type: path
  user:
    description: User the command runs as. That of the container, when left out.
    type: str
  env:
    description: More environment variables.
    type: dict
  detach:
    description:
      - Do not wait for the command. Its output and its exit code are lost.
      - With O(tty) as well, it has no terminal, for nobody is left to hold it.
    type: bool
    default: false
  stdin:
    description: What the command reads from its standard input. Without it, there is nothing to read.
    type: str
  stdin_add_newline:
    description: End O(stdin) with a newline.
    type: bool
    default: true
  strip_empty_ends:
    description: Leave empty lines at the end of RV(stdout) and RV(stderr) out.
    type: bool
    default: true
  tty:
    description:
      - Give the command a terminal of its own. What it writes to it, also its errors, becomes RV(stdout), and lines end
        with a carriage return, too.
    type: bool
    default: false
extends_documentation_fragment:
  - mini.containers.state
attributes:
  check_mode:
    description: In check mode the command is not run.
    support: none
  diff_mode:
    description: There is nothing to compare.
    support: N/A
seealso:
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: What the container thinks of its memory
  mini.containers.mini_container_exec:
    container: web
    command: cat /sys/fs/cgroup/memory/memory.limit_in_bytes

- name: A script, by a shell in the container
  mini.containers.mini_container_exec:
    container: web
    argv: [/bin/sh, -c, "echo $HOSTNAME > /www/index.html"]

- name: A dump into a database
  mini.containers.mini_container_exec:
    container: db
    command: psql --username app
    stdin: "{{ lookup('ansible.builtin.file', 'dump.sql') }}"
"""

RETURN = r"""
rc:
  description: The exit code of the command, 128 and its number when a signal ended it.
  returned: when the command ran, not with O(detach=true)
  type: int
  sample: 0
stdout:
  description: Its standard output.
  returned: when the command ran, not with O(detach=true)
  type: str
  sample: "67108864"
stderr:
  description: Its standard error.
  returned: when the command ran, not with O(detach=true)
  type: str
  sample: ""
stdout_lines:
  description: The lines of RV(stdout).
  returned: when the command ran, not with O(detach=true)
  type: list
  elements: str
  sample: ["67108864"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.execute import execute
from ansible_collections.mini.containers.plugins.module_utils.glue.command import process_overrides
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {
    "container": {"type": "str", "required": True, "aliases": ["name"]},
    "command": {"type": "str"},
    "argv": {"type": "list", "elements": "str"},
    "chdir": {"type": "path"},
    "user": {"type": "str"},
    "env": {"type": "dict"},
    "detach": {"type": "bool", "default": False},
    "stdin": {"type": "str"},
    "stdin_add_newline": {"type": "bool", "default": True},
    "strip_empty_ends": {"type": "bool", "default": True},
    "tty": {"type": "bool", "default": False},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Run the command and hand on how it ended."""
    done = execute(paths, module.params["container"], **process_overrides(module.params))
    if module.params["detach"]:
        return {"changed": True}
    ends = b"\r\n" if module.params["strip_empty_ends"] else b""
    stdout, stderr = (text.rstrip(ends).decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    result: dict[str, Any] = {"changed": True, "rc": done.rc, "stdout": stdout, "stderr": stderr}
    result["stdout_lines"] = stdout.splitlines()
    if done.rc:
        result.update(failed=True, msg=f"the command ended with exit code {done.rc}")
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=False,
        mutually_exclusive=[("command", "argv")],
        required_one_of=[("command", "argv")],
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
