#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses goes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_prune
short_description: Remove containers, images, networks and volumes that nobody uses
version_added: 0.1.0
description:
  - Removes what is not used any more, with the options of M(community.docker.docker_prune).
  - What is in use never goes, nor what has come into use since it was looked at.
  - Containers go first. An image, a network or a volume that only they used goes with them, if that kind is pruned.
  - Check mode says what would go, and how many bytes would come free.
  - When the record of a container cannot be read, nobody knows what it uses. Nothing but containers goes then.
options:
  containers:
    description: Whether containers are removed that do not run. Their volumes stay.
    type: bool
    default: false
  containers_filters:
    description:
      - What of them, as in V({"until":"24h"}).
      - C(until) takes those that were made before a time. It is a span before now such as V(1h30m), a number of seconds
        since 1970, or a date and time such as V(2030-01-31T12:00:00Z), which is the host's without a zone.
      - C(label) takes those that have a label, V(name) or V(name=value), or each of a list of them. C(label!) leaves
        out those that have it, or any of a list.
    type: dict
  images:
    description:
      - Whether images are removed on which no container stands. They are those without a name, unless O(images_filters)
        says otherwise; with them go layers and blobs of no image, and what broken-off tasks left.
    type: bool
    default: false
  images_filters:
    description:
      - As O(containers_filters). An image is as old as it says itself; one that does not say stays with C(until).
      - V({"dangling":false}) takes those with names, too.
    type: dict
  networks:
    description: Whether networks are removed that no container is in, running or not.
    type: bool
    default: false
  networks_filters:
    description: As O(containers_filters).
    type: dict
  volumes:
    description:
      - Whether volumes are removed that no container has, running or not. They are those that nobody named, unless
        O(volumes_filters) says otherwise. Those that are caches of builds are left to O(builder_cache).
    type: bool
    default: false
  volumes_filters:
    description:
      - As O(containers_filters), without C(until). V({"all":true}) takes those that somebody named, too.
    type: dict
  builder_cache:
    description:
      - Whether also goes what M(mini.containers.mini_image_build) keeps of its steps. Each image is built from its
        first step on the next time, unless it is being built just now. So do the volumes that C(RUN --mount=type=cache)
        keeps.
    type: bool
    default: false
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_container
  - module: mini.containers.mini_image
  - module: mini.containers.mini_network
  - module: mini.containers.mini_volume
"""

EXAMPLES = r"""
- name: What has been of no use for a day
  mini.containers.mini_prune:
    containers: true
    containers_filters:
      until: 24h
    images: true

- name: All that nobody uses, but for what is to be kept
  mini.containers.mini_prune:
    containers: true
    containers_filters:
      label!: keep
    images: true
    images_filters:
      dangling: false
      label!: keep
    networks: true
    volumes: true
"""

RETURN = r"""
containers:
  description: The ids of the containers that were removed, or in check mode would be.
  returned: when O(containers=true)
  type: list
  elements: str
  sample: ["9b1e…"]
containers_space_reclaimed:
  description: How many bytes came free with them.
  returned: when O(containers=true)
  type: int
  sample: 40960
images:
  description: The ids of the images that were removed, or in check mode would be.
  returned: when O(images=true)
  type: list
  elements: str
  sample: ["sha256:5d3c…"]
images_untagged:
  description: The names that they had.
  returned: when O(images=true)
  type: list
  elements: str
  sample: ["web:1.0"]
images_space_reclaimed:
  description: How many bytes came free with them, with their blobs and layers that no other image has.
  returned: when O(images=true)
  type: int
  sample: 2003456
networks:
  description: The names of the networks that were removed, or in check mode would be.
  returned: when O(networks=true)
  type: list
  elements: str
  sample: [lan]
volumes:
  description: The names of the volumes that were removed, or in check mode would be.
  returned: when O(volumes=true)
  type: list
  elements: str
  sample: [database]
volumes_space_reclaimed:
  description: How many bytes came free with them.
  returned: when O(volumes=true)
  type: int
  sample: 8192
builder_cache_caches_deleted:
  description:
    - The images whose steps were forgotten, and the volumes that were caches of builds; in check mode those that would
      be.
  returned: when O(builder_cache=true)
  type: list
  elements: str
  sample: ["web:1.0", build-cache-2e7d2c03a950]
builder_cache_space_reclaimed:
  description: How many bytes came free with the steps and the caches of builds, or in check mode would.
  returned: when O(builder_cache=true)
  type: int
  sample: 8192
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [remove-container, untag, sweep]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.prune.converge import prune
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "containers": {"type": "bool", "default": False},
    "containers_filters": {"type": "dict"},
    "images": {"type": "bool", "default": False},
    "images_filters": {"type": "dict"},
    "networks": {"type": "bool", "default": False},
    "networks_filters": {"type": "dict"},
    "volumes": {"type": "bool", "default": False},
    "volumes_filters": {"type": "dict"},
    "builder_cache": {"type": "bool", "default": False},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    outcome = prune(paths, wanted(module.params), check=module.check_mode)
    for warning in outcome.warnings:
        module.warn(warning)
    return plan_result(module, outcome.plan, **outcome.removed)


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
