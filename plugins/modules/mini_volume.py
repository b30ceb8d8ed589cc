#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume for containers, converged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_volume
short_description: Manage volumes of containers
version_added: 0.1.0
description:
  - Creates, changes and removes a volume, a directory that outlives the containers that use it.
  - M(mini.containers.mini_container) makes volumes on demand. This module gives them labels, and takes them away.
options:
  name:
    description: Name of the volume.
    type: str
    required: true
    aliases: [volume_name]
  state:
    description:
      - V(present) makes the volume exist as described.
      - V(absent) removes it with all its content. Refused while a container has it, running or not.
    type: str
    choices: [present, absent]
    default: present
  driver:
    description: Where the volume is. V(local) is a directory below O(state_root).
    type: str
    choices: [local]
    default: local
  driver_options:
    description:
      - Has to be empty. What C(type), C(device) and C(o) say to Docker's local driver is said elsewhere here. A
        directory of the host is a bind mount of the container, memory is a mount of the type C(tmpfs), and another file
        system is mounted by M(ansible.posix.mount) and bound.
    type: dict
  labels:
    description: Labels, for people and their tools. All of them; those not listed are removed.
    type: dict
  recreate:
    description:
      - When a volume that exists is made anew, which loses its content. Refused while a container has it.
      - With V(never), labels are changed in place and the content stays.
      - With V(options-changed), a volume whose labels differ is made anew, as M(community.docker.docker_volume) does.
      - With V(always), every run of the task empties the volume.
    type: str
    choices: [always, never, options-changed]
    default: never
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_volume_info
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: A volume
  mini.containers.mini_volume:
    name: database
    labels:
      backup: nightly

- name: Remove a volume and all that is in it
  mini.containers.mini_volume:
    name: database
    state: absent
"""

RETURN = r"""
volume:
  description: The volume, with the keys of C(docker volume inspect). C(null) when it is absent.
  returned: success
  type: dict
  sample: {"Name": "database", "Driver": "local", "Mountpoint": "/var/lib/mini/volume/database/_data",
           "Labels": {"backup": "nightly"}, "CreatedAt": "2030-01-31T12:00:00.000000000Z", "Scope": "local",
           "Options": {}}
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [write-volume]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.volume import given, volume_spec

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True, "aliases": ["volume_name"]},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "driver": {"type": "str", "choices": ["local"], "default": "local"},
    "driver_options": {"type": "dict"},
    "labels": {"type": "dict"},
    "recreate": {"type": "str", "choices": ["always", "never", "options-changed"], "default": "never"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    params = module.params
    spec = volume_spec(params)
    if params["state"] == "absent":
        outcome = remove(paths, spec.name, check=module.check_mode)
    else:
        outcome = ensure(paths, spec, given(params), recreate=params["recreate"], check=module.check_mode)
    return plan_result(module, outcome.plan, volume=outcome.volume)


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
