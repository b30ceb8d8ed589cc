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
  - Pulls an image from a registry, loads it from an archive, or makes it from the tar of a root file system, from a
    directory, or from a container, and keeps it in an OCI image layout that other tools can read.
  - An image that is pulled or loaded stays as it came, and keeps all its digests.
  - Layers are unpacked once and shared by all images and containers that have them.
    Nothing in an archive reaches outside of its layer, whatever the archive says.
  - The same content and configuration give the same image, with the same id, on every host.
  - What is interrupted leaves nothing that another task could mistake for an image, and is swept by the next one.
options:
  name:
    description:
      - Name of the image, with or without a tag, such as V(web), V(web:1.2) or V(registry.example/team/web).
      - The tag is V(latest) when none is given.
      - With O(state=absent) it may be an image's id, of which the first 12 digits are enough. A digest then means all
        names that the image has in that repository.
      - An image that is pulled may also be named by its digest, as in V(registry.example/web@sha256:5d3c…).
      - A name without a registry in it is Docker Hub's when it is pulled. V(docker.io/library/web) and V(web) are the
        same name.
    type: str
    required: true
  tag:
    description: Tag of the image, when O(name) has none.
    type: str
  source:
    description:
      - Where the image comes from. What is given says it, so this is only needed for V(local).
      - With V(registry), the image is pulled as O(pull) says. It is what is meant when none of O(load_path), O(src)
        and O(from_container) is given.
      - With V(archive) and V(layout), it is loaded from O(load_path).
      - With V(rootfs), it is made of O(src), and with V(container) of O(from_container).
      - With V(local), it must be there already.
    type: str
    choices: [registry, archive, layout, rootfs, container, local]
  pull:
    description:
      - When a registry is asked for the image.
      - V(missing) asks when there is none of that name, or none for the O(platform) that is asked for.
      - V(always) asks each time what the name stands for now, by its digest. Nothing is downloaded when that is known.
      - V(never) does not ask.
      - Check mode asks, too, and downloads nothing.
    type: str
    choices: [always, missing, never]
    default: missing
  platform:
    description:
      - For which platform the image has to be, such as V(linux/arm64) or V(linux/arm/v7).
      - Out of an image for several platforms, that of the managed host is taken when this is not given.
      - With O(src), the image is made for it. An image of a container is for that container's platform.
    type: str
  load_path:
    description:
      - Absolute path on the managed host of an archive, as C(docker save), C(podman save) and C(skopeo) write it, or of
        a directory that is an OCI image layout.
      - An archive may be plain, or compressed with gzip, xz, bzip2 or zstd.
      - Of several images in it, the one called O(name) is taken. A single one gets that name, whatever it is called.
      - An archive is compared as O(src) is, a layout by the digest that the name has in it.
    type: path
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
  push:
    description:
      - Whether the image is given to the registry in its O(name), unless that has it under the tag already.
      - Layers that the registry has are not sent. Those of an image that was pulled from another repository of it are
        mounted from there, where the registry allows that.
      - One image is pushed, that of the managed host, also when it was pulled out of one for several platforms.
    type: bool
    default: false
  author:
    description: Who made the image, when it is made here, with O(src) or O(from_container).
    type: str
  message:
    description: What is said of the layer that is made with O(src) or O(from_container). It is in the image's history.
    type: str
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
    description:
      - With O(state=absent), whether to take the name away although containers stand on the image.
        Its layers go when the last of those does, with the next task that changes an image.
      - Also whether to take all names away, when O(name) is an id and the image has several.
    type: bool
    default: false
  prune:
    description:
      - With O(state=absent), whether other images go, too, that have no name and on which no container stands.
      - The blobs and layers of images that go are removed in any case, unless another image has them.
    type: bool
    default: true
  state:
    description:
      - V(present) makes the image exist as described.
        With O(src), its configuration is what the task says and nothing else.
        Without, the configuration of the container, or of the image that is there, pulled or loaded, is the base;
        O(env) and O(labels) are added to it, each of the other options replaces its value.
      - V(absent) removes the name, and the image with its last name.
        Refused while containers stand on it, and by an id when it has several names, unless O(force=true).
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - mini.containers.state
  - mini.containers.state.converges
  - mini.containers.registry
seealso:
  - module: mini.containers.mini_image_info
  - module: mini.containers.mini_container
"""

EXAMPLES = r"""
- name: An image from Docker Hub
  mini.containers.mini_image:
    name: alpine:3.20

- name: The newest image of a registry of our own
  mini.containers.mini_image:
    name: registry.example:5000/team/web:stable
    pull: always
    registry_username: deploy
    registry_password: "{{ vault_registry_password }}"
    ca_path: /etc/ssl/example-ca.pem

- name: An image out of an archive, for hosts without a way to a registry
  mini.containers.mini_image:
    name: web:1.0
    load_path: /srv/images/web.tar.gz

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

- name: An image of our own, for others to pull
  mini.containers.mini_image:
    name: registry.example:5000/team/web:1.0
    src: /srv/images/web.tar.gz
    push: true

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

- name: Remove an image by its id, whatever it is called
  mini.containers.mini_image:
    name: sha256:5d3c1f6c6f1c0a5a8f7d2f0b8e1f9f6e2b7c4d3a1e0f9c8b7a6d5e4f3c2b1a09
    state: absent
    force: true
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
untagged:
  description: The names that were taken away, or in check mode would be, and the digests that no name is left of.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: ["web:1.0", "web@sha256:9b1e…"]
deleted:
  description: The ids of the images and layers that went with them, or in check mode would.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: ["sha256:5d3c…", "sha256:77aa…"]
actions:
  description: Names of the steps that were taken, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [pull, export]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import ensure, remove
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import REGISTRY_OPTIONS, connection
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
    say_presumed,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "source": {"type": "str", "choices": ["registry", "archive", "layout", "rootfs", "container", "local"]},
    "pull": {"type": "str", "choices": ["always", "missing", "never"], "default": "missing"},
    "platform": {"type": "str"},
    "load_path": {"type": "path"},
    **REGISTRY_OPTIONS,
    "src": {"type": "path"},
    "from_container": {"type": "str"},
    "archive_path": {"type": "path"},
    "push": {"type": "bool", "default": False},
    "author": {"type": "str"},
    "message": {"type": "str"},
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
    "prune": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Converge, or in check mode plan."""
    params = module.params
    if params["state"] == "absent":
        options = {option: params[option] for option in ("force", "prune")}
        gone = remove(paths, params["name"], params["tag"], **options, check=module.check_mode)
        return plan_result(module, gone.plan, image=None, untagged=gone.untagged, deleted=gone.deleted)
    wanted = image_spec(params)
    outcome = ensure(paths, wanted, connect=connection(params, wanted.reference, module.warn), check=module.check_mode)
    say_presumed(module, outcome.warnings)
    return plan_result(module, outcome.plan, image=outcome.image)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        mutually_exclusive=[("src", "from_container", "load_path")],
        supports_check_mode=True,
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
