#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What networks there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_network_info
short_description: Show networks of containers
version_added: 0.1.0
description:
  - Shows one network, or all, with the keys of C(docker network inspect).
  - C(Names) are the names and aliases of the containers, with their addresses, as they find each other. Of a network
    over many hosts, they are those of this host, and C(Peers) are the others.
  - C(Leases) are the addresses that are taken, by whom, and whether that container is gone. C(Usage) is how many
    containers fit into each subnet, and how many addresses are taken.
  - C(Rules) are those of the packet filter, C(Firewall) its driver, and C(Drift) what
    M(mini.containers.mini_network) would put right.
options:
  name:
    description: Name of a network. All networks, when left out.
    type: str
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.reads
seealso:
  - module: mini.containers.mini_network
"""

EXAMPLES = r"""
- name: One network
  mini.containers.mini_network_info:
    name: backend
  register: found

- name: Its subnet
  ansible.builtin.debug:
    msg: "{{ found.network.IPAM.Config[0].Subnet }}"
"""

RETURN = r"""
exists:
  description: Whether the network exists. Without O(name), whether there is any.
  returned: always
  type: bool
  sample: true
network:
  description: The network that O(name) names, C(null) when it does not exist.
  returned: when O(name) is given
  type: dict
  sample: {"Id": "8a4c…", "Name": "backend", "Driver": "bridge", "Containers": {}, "Names": {},
           "Leases": {"10.213.0.2": {"Container": "5ffb…", "Name": "web", "Orphan": false}},
           "Usage": [{"Subnet": "10.213.0.0/24", "Size": 253, "Used": 1}],
           "Firewall": "nftables", "Rules": [], "Drift": []}
networks:
  description: All the networks asked for, in the order of their names.
  returned: always
  type: list
  elements: dict
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.neighbours import names_in
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.packetfilter import Sight
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.picture import picture
from ansible_collections.mini.containers.plugins.module_utils.engine.networks.record import every, find
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Read only."""
    name = module.params["name"]
    found = [find(paths, name)] if name else list(every(paths))
    known = [record for record in found if record is not None]
    sight = Sight(paths)
    shown = [{**picture(paths, record, sight), "Names": names_in(paths, record.name)} for record in known]
    result: dict[str, Any] = {"changed": False, "exists": bool(shown), "networks": shown}
    if name:
        result["network"] = shown[0] if shown else None
    return result


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
