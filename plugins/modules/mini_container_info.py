#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers there are, and what they wrote."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_container_info
short_description: Show containers, their logs and what they use
version_added: 0.1.0
description:
  - Shows one container, or all, with the keys of C(docker inspect).
options:
  name:
    description: Name or id of a container. All containers, when left out.
    type: str
  logs:
    description: Whether to return what the containers wrote.
    type: bool
    default: false
  tail:
    description: Return only so many of the last lines.
    type: int
  since:
    description: Return only what was written at this time or later, in UTC, such as V(2030-01-31T12:00:00Z).
    type: str
  stats:
    description: Whether to return what the containers use of processor, memory, processes, disks and networks.
    type: bool
    default: false
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.reads
seealso:
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: One container
  mini.containers.mini_container_info:
    name: web
  register: web

- name: The last ten lines of its log
  mini.containers.mini_container_info:
    name: web
    logs: true
    tail: 10

- name: How much memory everybody uses
  mini.containers.mini_container_info:
    stats: true
  register: all

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.key }}: {{ item.value.memory_stats.usage | default('does not run') }}"
  loop: "{{ all.stats | dict2items }}"
"""

RETURN = r"""
exists:
  description: Whether the container exists. Without O(name), whether there is any.
  returned: always
  type: bool
  sample: true
container:
  description: The container that O(name) names, C(null) when it does not exist.
  returned: when O(name) is given
  type: dict
  sample: {"Id": "8a4c…", "Name": "/web", "State": {"Status": "running"}}
containers:
  description: All the containers asked for, in the order of their names.
  returned: always
  type: list
  elements: dict
  sample: []
logs:
  description: What each container wrote, by name.
  returned: when O(logs=true)
  type: dict
  sample: {"web": {"stdout": "ready\n", "stderr": "", "lines": [{"time": "…", "stream": "stdout", "text": "ready"}]}}
stats:
  description:
    - What each container uses, by name, with the keys of Docker's statistics. V(null) for one that does not run.
    - Times are nanoseconds and sizes bytes. A number that this kernel does not keep is left out.
    - With cgroup v1, kernels from 6.11 on count what goes to and from a disk only once some container, or somebody
      else, has been given a limit for that disk.
  returned: when O(stats=true)
  type: dict
  sample: {"web": {
    "id": "8a4c…", "name": "/web", "read": "2030-01-31T12:00:00.000000000Z",
    "cpu_stats": {
      "cpu_usage": {"total_usage": 41000000, "usage_in_usermode": 30000000, "usage_in_kernelmode": 11000000},
      "system_cpu_usage": 9000000000000, "online_cpus": 2,
      "throttling_data": {"periods": 12, "throttled_periods": 2, "throttled_time": 4000000}},
    "memory_stats": {"usage": 1400832, "max_usage": 3100672, "limit": 67108864, "cache": 300000, "failcnt": 0,
      "oom_kill": 0, "stats": {"anon": 204800}},
    "pids_stats": {"current": 3, "limit": 100},
    "blkio_stats": {
      "io_service_bytes_recursive": [{"major": 254, "minor": 0, "op": "read", "value": 4096}],
      "io_serviced_recursive": [{"major": 254, "minor": 0, "op": "read", "value": 1}]},
    "networks": {"eth0": {"rx_bytes": 950, "rx_packets": 9, "rx_errors": 0, "rx_dropped": 0,
      "tx_bytes": 800, "tx_packets": 8, "tx_errors": 0, "tx_dropped": 0}}}}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import logs
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import (
    ContainerRecord,
    every,
    find,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.stats import stats
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "logs": {"type": "bool", "default": False},
    "tail": {"type": "int"},
    "since": {"type": "str"},
    "stats": {"type": "bool", "default": False},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Read only."""
    name = module.params["name"]
    found = [find(paths, name)] if name else list(every(paths))
    records = sorted((record for record in found if record is not None), key=lambda record: record.name)
    shown = [facts(paths, record) for record in records]
    result: dict[str, Any] = {"changed": False, "exists": bool(shown), "containers": shown}
    if name:
        result["container"] = shown[0] if shown else None
    if module.params["logs"]:
        result["logs"] = {record.name: _log(module, paths, record) for record in records}
    if module.params["stats"]:
        result["stats"] = {record.name: stats(paths, record) for record in records}
    return result


def _log(module: AnsibleModule, paths: Paths, record: ContainerRecord) -> dict[str, Any]:
    since = (module.params["since"] or "").rstrip("Z")
    found = logs.tail(logs.entries(paths, record.id, since), module.params["tail"])
    lines = [
        {"time": entry.time, "stream": entry.stream, "text": entry.text.decode("utf-8", "replace")} for entry in found
    ]
    return {"stdout": logs.output(found, "stdout"), "stderr": logs.output(found, "stderr"), "lines": lines}


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
