#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image, converged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image
short_description: Manage images of containers
version_added: 0.1.0
description:
  - Makes an image from the tar of a root file system, from a directory, or from a container, and keeps it in an
    OCI image layout that other tools can read.
  - Layers are unpacked once and shared by all images and containers that have them.
    Nothing in an archive reaches outside of its layer, whatever the archive says.
  - The same content and configuration give the same image, with the same id, on every host.
  - What is interrupted leaves nothing that another task could mistake for an image, and is swept by the next one.
options:
  name:
    description:
      - Name of the image, with or without a tag, such as V(web), V(web:1.2) or V(registry.example/team/web).
      - The tag is V(latest) when none is given.
    type: str
    required: true
  tag:
    description: Tag of the image, when O(name) has none.
    type: str
  src:
    description:
      - Absolute path on the managed host of a root file system, a tar as C(docker export) makes it or a directory.
      - A tar may be plain, or compressed with gzip, xz, bzip2 or zstd.
        For zstd, a Python older than 3.14 needs the program C(zstd) on the managed host.
      - A tar is compared by its digest. It is read for that only when its size, time or inode has changed.
      - A directory is compared as rsync does, by the names, sizes, times, owners and modes of what is in it.
        Other file systems that are mounted below it are left out.
      - A name that begins with C(.wh.) stands for a deleted file in a layer, and leaves nothing in a root file system.
    type: path
  from_container:
    description:
      - Name or id of a container. The image is made of its image and of what has been changed in it since.
      - Volumes, and what the engine mounts into a container, are left out.
      - The container may be running. Stop it first when its files must fit together.
    type: str
  archive_path:
    description:
      - Absolute path on the managed host to which the image is written as an archive, unless it is there already.
      - C(skopeo) reads it as C(oci-archive:), C(podman load) and C(docker load) read it, too.
    type: path
  command:
    description: What a container runs, or the arguments of O(entrypoint). A list, or a string split as a shell would.
    type: raw
  entrypoint:
    description: What a container runs before O(command). A list, or a string split as a shell would.
    type: raw
  env:
    description: Variables of the environment.
    type: dict
  working_dir:
    description: Directory in which a container's process starts.
    type: str
  user:
    description: User as whom a container's process runs, a name or number, perhaps with C(:) and a group.
    type: str
  labels:
    description: Labels, for people and their tools.
    type: dict
  exposed_ports:
    description: Ports on which the image's program listens, such as V(80), V(53/udp) or V(8000-8003).
    type: list
    elements: str
  volumes:
    description: Paths in the image whose content is not part of it.
    type: list
    elements: str
  stop_signal:
    description: Signal that stops a container, such as V(SIGINT).
    type: str
  force:
    description: With O(state=absent), whether to take the name away although containers stand on the image.
      Its layers go when the last of those does, with the next task that changes an image.
    type: bool
    default: false
  state:
    description:
      - V(present) makes the image exist as described.
        With O(src), its configuration is what the task says and nothing else.
        Without, the configuration of the container or of the existing image is the base; O(env) and O(labels) are
        added to it, each of the other options replaces its value.
      - V(absent) removes the name, and the image with its last name.
        Refused while containers stand on it, unless O(force=true).
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
seealso:
  - module: mini.containers.mini_image_info
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: An image from the tar of a root file system
  mini.containers.mini_image:
    name: web
    tag: "1.0"
    src: /srv/images/web.tar.gz
    command: [httpd, -f, -p, "80"]
    env:
      PATH: /bin:/sbin
    exposed_ports: ["80"]

- name: Another command, on the same layers
  mini.containers.mini_image:
    name: web:1.0
    command: httpd -f -v -p 80

- name: An image from a container, and a copy of it for another host
  mini.containers.mini_image:
    name: web-configured
    from_container: web
    labels:
      made-by: ansible
    archive_path: /srv/images/web-configured.tar

- name: Remove an image
  mini.containers.mini_image:
    name: web:1.0
    state: absent
"""

RETURN = r"""
image:
  description:
    - The image, with the keys of C(docker image inspect). C(null) when it is absent.
    - In check mode, the image as it is now.
  returned: success
  type: dict
  sample: {"Id": "sha256:5d3c…", "RepoTags": ["web:1.0"], "Created": "2024-05-01T10:00:00Z",
           "Config": {"Cmd": ["httpd", "-f", "-p", "80"], "Env": ["PATH=/bin:/sbin"]},
           "RootFS": {"Type": "layers", "Layers": ["sha256:9b1e…"]}}
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [import, export]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "src": {"type": "path"},
    "from_container": {"type": "str"},
    "archive_path": {"type": "path"},
    "command": {"type": "raw"},
    "entrypoint": {"type": "raw"},
    "env": {"type": "dict"},
    "working_dir": {"type": "str"},
    "user": {"type": "str"},
    "labels": {"type": "dict"},
    "exposed_ports": {"type": "list", "elements": "str"},
    "volumes": {"type": "list", "elements": "str"},
    "stop_signal": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    wanted = image_spec(module.params)
    if module.params["state"] == "absent":
        outcome = remove(paths, wanted, force=module.params["force"], check=module.check_mode)
    else:
        outcome = ensure(paths, wanted, check=module.check_mode)
    say_presumed(module, outcome.warnings)
    return plan_result(module, outcome.plan, image=outcome.image)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("src", "from_container")],
        supports_check_mode=True,
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
