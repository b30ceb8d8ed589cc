#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image_tag
short_description: Give further names to images of containers
version_added: 0.1.0
description:
  - Lets names mean an image that is there already. Nothing is fetched, and nothing is copied.
  - An image whose last name is taken to mean another one goes, unless a container stands on it.
  - M(mini.containers.mini_image) takes names away.
options:
  name:
    description:
      - Name of the image, with or without a tag or a digest, or its id, of which the first 12 digits are enough.
    type: str
    required: true
  tag:
    description: Tag of the image, when O(name) has none and is no id.
    type: str
  repository:
    description:
      - Names that the image gets, such as V(web), V(web:1.2) or V(registry.example:5000/team/web:1.2).
      - The tag is V(latest) where none is given.
    type: list
    elements: str
    required: true
  existing_images:
    description:
      - What is done with a name that means another image.
      - With V(keep) it goes on to mean that.
    type: str
    choices: [keep, overwrite]
    default: overwrite
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_image
  - module: mini.containers.mini_image_info
"""

EXAMPLES = r"""
- name: The image of the new release
  mini.containers.mini_image_tag:
    name: web:1.2
    repository:
      - web:stable
      - registry.example:5000/team/web:1.2

- name: A name for an image, unless another one has it
  mini.containers.mini_image_tag:
    name: 5d3c1f6c6f1c
    repository: [web:first]
    existing_images: keep
"""

RETURN = r"""
image:
  description:
    - The image, with the keys of C(docker image inspect).
    - In check mode, the image as it is now.
  returned: success
  type: dict
  sample: {"Id": "sha256:5d3c…", "RepoTags": ["web:1.2", "web:stable"]}
tagged_images:
  description: The names that were given, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["web:stable"]
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [tag]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import tag
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_name, names_for
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "repository": {"type": "list", "elements": "str", "required": True},
    "existing_images": {"type": "str", "choices": ["keep", "overwrite"], "default": "overwrite"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    params = module.params
    names = names_for(params["repository"])
    image = image_name(params["name"], params["tag"])
    outcome = tag(paths, image, names, params["existing_images"], check=module.check_mode)
    say_presumed(module, outcome.warnings)
    given = [step.target for step in outcome.plan if step.name == "tag"]
    return plan_result(module, outcome.plan, image=outcome.image, tagged_images=given)


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
