#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers come back when the host does."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_boot
short_description: Bring containers back when the host boots
version_added: 0.1.0
description:
  - Installs a systemd unit for the state root, C(mini-containers@STATE_ROOT.service), and below the state root the code
    that it runs. A host needs no Ansible for that, only the Python that this module was run by.
  - At boot it brings up the networks, then starts the containers whose restart policy says so, in the order in which
    they were made, with the addresses and ports that they had. One that fails does not keep the others down; the
    journal names it, and the unit fails.
  - O(mini.containers.mini_container#module:restart_policy=always) brings back what was ever started,
    V(unless-stopped) what was not stopped by a task, V(on-failure) what did not end well, a power cut included.
  - C(systemctl reload) of the unit puts back what somebody has taken from under the containers, rules of the packet
    filter among them, and touches no process. It follows the services firewalld, nftables, iptables,
    netfilter-persistent and ufw when they are started or reloaded by systemd. C(firewall-cmd --reload) and a flush by
    hand are not seen; the next task or a reload of the unit repairs what they did.
  - To stop or restart the unit ends no container. When the host is shut down, it stops them with their own signal and
    timeout.
  - A task that changes a container replaces the code by its own version, so it always knows the records.
options:
  state:
    description: Whether the unit is there.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
notes:
  - On a host that systemd has not started only the code is installed; RV(command) is what something else must call at
    boot, once the file systems and the network are up.
seealso:
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: Containers come back at boot
  mini.containers.mini_boot:

- name: They do not
  mini.containers.mini_boot:
    state: absent
"""

RETURN = r"""
unit:
  description: The systemd unit of the state root, empty on a host that systemd has not started.
  returned: always
  type: str
  sample: mini-containers@var-lib-mini.service
command:
  description: What the unit runs.
  returned: always
  type: list
  elements: str
  sample: [/usr/bin/python3, -I, /var/lib/mini/runtime/boot, reconcile, /var/lib/mini]
actions:
  description: The steps that were taken, or in check mode would be.
  returned: always
  type: list
  elements: str
  sample: [write-code, write-unit, enable-unit, start-unit]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.boot.install import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge."""
    boot = converge(paths, module.params["state"], check=module.check_mode)
    return plan_result(module, boot.plan, unit=boot.unit, command=list(boot.command))


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
