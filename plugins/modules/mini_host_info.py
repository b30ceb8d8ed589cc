#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can carry containers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_host_info
short_description: Show what a host lacks to carry containers
version_added: 0.1.0
description:
  - Tries out what containers need - an overlay, namespaces, a bridge, a veth pair, packet filter rules - in a child
    process with namespaces of its own, so that nothing stays, and reads the rest.
  - The module succeeds on a host that lacks something; RV(lacking) says what. There the role
    P(mini.containers.mini_host#role) fails.
options: {}
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.reads
seealso:
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: Look at the host
  mini.containers.mini_host_info:
  register: check

- name: Say what it lacks
  ansible.builtin.debug:
    msg: "{{ check.lacking | map(attribute='what') | list }}"
"""

RETURN = r"""
host:
  description: What the host is.
  returned: always
  type: dict
  contains:
    kernel:
      description: Release of the kernel.
      type: str
      sample: 6.1.0-18-amd64
    machine:
      description: Architecture.
      type: str
      sample: x86_64
    python:
      description: Version of the Python that runs the modules.
      type: str
      sample: 3.11.2
    python_executable:
      description: Its path.
      type: str
      sample: /usr/bin/python3
    pyroute2:
      description: Version of pyroute2 for that Python, empty when it is missing.
      type: str
      sample: 0.7.2
    cgroups:
      description: For each controller that is needed the version of its hierarchy, V(0) when it has none.
      type: dict
      sample: {"cpu": 2, "cpuset": 2, "memory": 2, "pids": 2}
    iptables:
      description: Version and backend (V(nf_tables) or V(legacy)) of iptables, both empty when it is missing.
      type: dict
      sample: {"backend": "nf_tables", "version": "1.8.9"}
    nftables:
      description: Version of nftables, empty when it is missing. One of both is needed.
      type: str
      sample: 1.0.6
  sample:
    cgroups: {"cpu": 2, "cpuset": 2, "memory": 2, "pids": 2}
    iptables: {"backend": "nf_tables", "version": "1.8.9"}
    kernel: 6.1.0-18-amd64
    machine: x86_64
    nftables: 1.0.6
    pyroute2: 0.7.2
    python: 3.11.2
    python_executable: /usr/bin/python3
lacking:
  description: What the host lacks. Empty when it can carry containers.
  returned: always
  type: list
  elements: dict
  contains:
    what:
      description: The thing that is lacking.
      type: str
      sample: a packet filter
    why:
      description: How that was found out.
      type: str
      sample: this host has neither nft nor iptables
    remedy:
      description: What to do about it.
      type: str
      sample: install the package nftables, or apply the role mini.containers.mini_host
  sample:
    - what: a packet filter
      why: this host has neither nft nor iptables
      remedy: install the package nftables, or apply the role mini.containers.mini_host
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.host import inspect
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {**STATE_ROOT_OPTION}


def work(_module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Read only."""
    host = inspect(paths)
    return {"changed": False, "host": host.facts, "lacking": [lack._asdict() for lack in host.lacking]}


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
