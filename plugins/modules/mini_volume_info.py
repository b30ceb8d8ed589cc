#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What volumes there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_volume_info
short_description: Show volumes of containers
version_added: 0.1.0
description:
  - Shows one volume, or all, with the keys of C(docker volume inspect).
options:
  name:
    description: Name of a volume. All volumes, when left out.
    type: str
    aliases: [volume_name]
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.reads
seealso:
  - module: mini.containers.mini_volume
"""

EXAMPLES = r"""
- name: One volume
  mini.containers.mini_volume_info:
    name: database
  register: found

- name: Where its content is
  ansible.builtin.debug:
    msg: "{{ found.volume.Mountpoint }}"
"""

RETURN = r"""
exists:
  description: Whether the volume exists. Without O(name), whether there is any.
  returned: always
  type: bool
  sample: true
volume:
  description: The volume that O(name) names, C(null) when it does not exist.
  returned: when O(name) is given
  type: dict
  sample: {"Name": "database", "Driver": "local", "Mountpoint": "/var/lib/mini/volume/database/_data"}
volumes:
  description: All the volumes asked for, in the order of their names.
  returned: always
  type: list
  elements: dict
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.describe import describe
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.record import every, find
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "aliases": ["volume_name"]},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Read only."""
    name = module.params["name"]
    found = [find(paths, name)] if name else list(every(paths))
    shown = [describe(paths, record) for record in found if record is not None]
    result: dict[str, Any] = {"changed": False, "exists": bool(shown), "volumes": shown}
    if name:
        result["volume"] = shown[0] if shown else None
    return result


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
