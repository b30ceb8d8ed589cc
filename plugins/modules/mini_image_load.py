#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All images of an archive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image_load
short_description: Load all images of an archive
version_added: 0.1.0
description:
  - Loads all images that an archive or an OCI image layout has, each under the names that it has there, whatever they
    mean on the host. M(mini.containers.mini_image) loads one of them, under a name of one's choice.
  - An archive that was loaded is not read again until it changes, and not loaded again until its content does.
options:
  path:
    description:
      - Absolute path on the managed host of an archive, as C(docker save), C(podman save), C(skopeo) and
        M(mini.containers.mini_image_export) write it, or of a directory that is an OCI image layout.
      - An archive may be plain, or compressed with gzip, xz, bzip2 or zstd.
      - Images without a name in it are left out.
    type: path
    required: true
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_image
  - module: mini.containers.mini_image_export
"""

EXAMPLES = r"""
- name: All that a site without a registry needs
  mini.containers.mini_image_load:
    path: /srv/images/site.tar
  register: loaded

- name: What that is
  ansible.builtin.debug:
    var: loaded.image_names
"""

RETURN = r"""
image_names:
  description: The names of the images in the archive.
  returned: success
  type: list
  elements: str
  sample: ["database:16", "web:1.0"]
images:
  description:
    - The images, with the keys of C(docker image inspect).
    - In check mode, what the names mean now.
  returned: success
  type: list
  elements: dict
  sample: [{"Id": "sha256:5d3c…", "RepoTags": ["web:1.0"]}]
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [load-all]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import load
from ansible_collections.mini.containers.plugins.module_utils.glue.image import absolute_path
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    outcome = load(paths, absolute_path("path", module.params["path"]), check=module.check_mode)
    say_presumed(module, outcome.warnings)
    return plan_result(module, outcome.plan, image_names=list(outcome.names), images=outcome.images)


def main() -> None:
    """Entry point."""
    run_task(AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
