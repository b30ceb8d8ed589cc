#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of containers in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_containers
short_description: Run a list of containers without a container engine
version_added: 0.1.0
description:
  - Does for a list of containers what M(mini.containers.mini_container) does for one, with the same options.
  - All are looked at and planned first. When one entry cannot be planned, nothing is done for any. Check mode and
    C(--diff) show the plans of all.
  - What is to go or to stop comes first. A container whose namespaces or volumes another one needs (C(network_mode),
    C(pid_mode) and C(ipc_mode) with V(container:NAME), C(volumes_from)) is brought there before that one. All others
    are started at once, with one change of the packet filter, and know each other's names from the start.
  - When one fails, it alone is taken back, as M(mini.containers.mini_container) would do. The others are finished and
    stay as they are then, and the task fails, names it, and says of each what was done.
  - Containers with O(containers[].state=healthy) are waited for together. The first that cannot become healthy any more
    ends the wait.
  - An entry with O(containers[].detach=false) is waited for before those after it in the list are begun. When it fails,
    they are not.
options:
  purge_label:
    description:
      - A label, C(key) or C(key=value). Containers that carry it and are not in the list are removed.
      - All containers in the list have to carry it. Others are never touched.
      - O(defaults.keep_volumes), O(defaults.force_kill) and O(defaults.kill_signal) say how they are removed.
    type: str
extends_documentation_fragment:
  - mini.containers.container_list
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: A shop, and nothing that was once a part of it
  mini.containers.mini_containers:
    defaults:
      labels:
        project: shop
      networks:
        - name: lan
      restart_policy: always
      memory: 128M
    containers:
      - name: database
        image: postgres
        memory: 1G
        volumes:
          - data:/var/lib/postgresql/data
      - name: migration
        image: shop
        command: migrate
        restart_policy: "no"
        detach: false
      - name: web
        image: shop
        published_ports:
          - 8080:80
      - name: metrics
        image: exporter
        network_mode: container:web
        networks: []
    purge_label: project=shop

- name: Both are gone
  mini.containers.mini_containers:
    defaults:
      state: absent
    containers:
      - name: one
      - name: two
"""

RETURN = r"""
containers:
  description: >-
    The containers in the order of the list, each as RV(mini.containers.mini_container#module:container). Empty for one
    that does not exist.
  returned: success, and when some of them failed
  type: list
  elements: dict
  sample: [{"Id": "8a4c…", "Name": "/web", "State": {"Status": "running", "Pid": 4711}}]
actions:
  description: >-
    The names of the steps that were done, or that check mode would have done, by the names of the containers. Those
    that were removed by O(purge_label) are among them.
  returned: success, and when some of them failed
  type: dict
  sample: {"web": [reserve-name, make-directories, write-record, write-bundle, start], "database": []}
errors:
  description: Why a container is not as it should be, by its name.
  returned: when one has failed
  type: dict
  sample: {"web": {"msg": "cannot start web: …", "error": {"kind": "step_failed", "step": "exec"}}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.glue.container_list import (
    others,
    refuse_shared_ports,
    tasks_of,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.container_options import (
    COMMON_OPTIONS,
    ENTRY_OPTIONS,
)
from ansible_collections.mini.containers.plugins.module_utils.glue.containers import bring_in_turn, list_result
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {
    "containers": {"type": "list", "elements": "dict", "required": True, "options": ENTRY_OPTIONS},
    "defaults": {"type": "dict", "options": COMMON_OPTIONS},
    "purge_label": {"type": "str"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Bring all of them there, and tell."""
    tasks = tasks_of(module.params)
    refuse_shared_ports(paths, tasks)
    leaving = list(others(paths, module.params, tasks))
    brought = bring_in_turn(module, paths, [*leaving, *tasks])
    return list_result(module, brought, [task.name for task in tasks])


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
