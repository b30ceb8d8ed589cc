#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What images there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image_info
short_description: Show images of containers
version_added: 0.1.0
description:
  - Shows some images, or all, with the keys of C(docker image inspect).
  - C(Size) is that of the layers as they are kept, compressed as they came. C(SharedSize) is what of it other images
    have, too, and C(UniqueSize) the rest, which goes with the image.
  - C(History) is what C(docker image history) shows, the newest first, and C(Containers) names the containers that
    stand on the image, running or not.
options:
  name:
    description:
      - Names of images, with or without a tag or a digest, or ids, of which the first 12 digits are enough.
        All images, when left out.
      - A name that there is not is left out of the result.
    type: list
    elements: str
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.reads
seealso:
  - module: mini.containers.mini_image
"""

EXAMPLES = r"""
- name: One image
  mini.containers.mini_image_info:
    name: web:1.0
  register: found

- name: Its command
  ansible.builtin.debug:
    msg: "{{ found.images[0].Config.Cmd }}"
"""

RETURN = r"""
images:
  description: The images, in the order asked for; all of them in the order of their names.
  returned: success
  type: list
  elements: dict
  sample: [{"Id": "sha256:5d3c…", "RepoTags": ["web:1.0"], "Size": 2003456, "SharedSize": 2003456, "UniqueSize": 0,
            "Config": {"Cmd": ["httpd", "-f"]}, "Containers": ["web"],
            "History": [{"Created": "2024-05-01T10:00:00Z", "CreatedBy": "import", "Comment": "", "Size": 2003456}]}]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.describe import (
    describe,
    describe_among,
    sharing,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.images.observe import used
from ansible_collections.mini.containers.plugins.module_utils.glue.task import STATE_ROOT_OPTION, run_task
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "list", "elements": "str"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Read only."""
    store = ImageStore(paths)
    names, every = module.params["name"], store.images()
    found = every if names is None else [store.find(name) for name in names]
    shared, users = sharing(every), used(paths) or {}
    images = [
        {**describe(store, image), **describe_among(image, shared, users)} for image in found if image is not None
    ]
    return {"changed": False, "images": images}


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
