#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and root file systems as files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image_export
short_description: Write images or root file systems of containers to a file
version_added: 0.1.0
description:
  - Writes images to an archive that others read, C(docker load), C(podman load), and C(skopeo) as C(oci-archive:) or
    C(docker-archive:), and M(mini.containers.mini_image) with O(mini.containers.mini_image#module:load_path).
  - Or writes a root file system to a tar, that of an image, its layers laid over each other, or that of a container, as
    C(docker export) does.
  - The same images give the same bytes. A file that holds what it should already is not written again.
  - The file is written beside its place and renamed, so that a torn one is never found there.
options:
  names:
    description:
      - Names of images, with or without a tag or a digest, or ids, of which the first 12 digits are enough.
      - All of them are in one archive, each under its name; those that are given by an id have none in it.
    type: list
    elements: str
    aliases: [name]
  tag:
    description: Tag of the images in O(names) that have none.
    type: str
  container:
    description:
      - Name or id of a container whose root file system is written.
      - Volumes, and what the engine mounts into a container, are left out. The container may be running.
    type: str
  path:
    description: Absolute path of the file on the managed host.
    type: path
    required: true
  kind:
    description:
      - With V(archive), the images with all that belongs to them, each layer once.
      - With V(rootfs), the root file system of the one image in O(names). It is what O(container) means in any case.
    type: str
    choices: [archive, rootfs]
  compression:
    description:
      - How the file is compressed. The layers in an archive are as they came, which is compressed as a rule.
    type: str
    choices: [none, gzip]
    default: none
  force:
    description: Whether the file is written although it holds what it should.
    type: bool
    default: false
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_image
  - module: mini.containers.mini_container_copy
"""

EXAMPLES = r"""
- name: All that a site without a registry needs, in one file
  mini.containers.mini_image_export:
    names: ["web:1.0", "database:16"]
    path: /srv/images/site.tar

- name: The root file system of an image
  mini.containers.mini_image_export:
    name: web:1.0
    kind: rootfs
    path: /srv/images/web-root.tar.gz
    compression: gzip

- name: The root file system of a container as it is now
  mini.containers.mini_image_export:
    container: web
    path: /srv/backup/web.tar
"""

RETURN = r"""
images:
  description: The images, with the keys of C(docker image inspect).
  returned: success
  type: list
  elements: dict
  sample: [{"Id": "sha256:5d3c…", "RepoTags": ["web:1.0"]}]
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [export]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.export import export
from ansible_collections.mini.containers.plugins.module_utils.glue.image import export_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "aliases": ["name"]},
    "tag": {"type": "str"},
    "container": {"type": "str"},
    "path": {"type": "path", "required": True},
    "kind": {"type": "str", "choices": ["archive", "rootfs"]},
    "compression": {"type": "str", "choices": ["none", "gzip"], "default": "none"},
    "force": {"type": "bool", "default": False},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    outcome = export(paths, export_spec(module.params), check=module.check_mode)
    say_presumed(module, outcome.warnings)
    return plan_result(module, outcome.plan, images=outcome.images)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("names", "container")],
        required_one_of=[("names", "container")],
        supports_check_mode=True,
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
