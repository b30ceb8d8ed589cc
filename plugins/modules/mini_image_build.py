#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image, built from a Containerfile."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_image_build
short_description: Build images from a Containerfile
version_added: 0.2.0
description:
  - Builds an image from a Containerfile, or Dockerfile, which is the same. No builder is needed on the managed host.
    Each C(RUN) is a container like those of M(mini.containers.mini_container), with the same confinement.
  - A step that was made before is not made again. What decides that is the layers that it stands on, its instruction,
    the variables that it can see, and the content, names and modes of the files that it copies. Times of files do not
    count.
    So the task changes nothing when nothing has changed, and what has changed is built from there on.
  - All of the file is read, and what is wrong with it is said, before anything is done. Errors name the file and the
    line. When a C(RUN) fails, they have its exit code and the last lines that it wrote.
  - The layers of steps are kept as long as the image has its name.
  - Stages that O(target) does not need are not built.
options:
  name:
    description: Name of the image, with or without a tag, such as V(web) or V(registry.example/team/web:1.2).
    type: str
    required: true
  tag:
    description: Tag of the image, when O(name) has none. V(latest) when neither says one.
    type: str
  path:
    description:
      - Absolute path on the managed host of the directory that is built from, the context.
        M(ansible.posix.synchronize), M(ansible.builtin.copy) and M(ansible.builtin.git) bring it there.
      - What C(.containerignore) or C(.dockerignore) in it names is left out, or what is named by a file beside the
        Containerfile that is called as that is, with C(.dockerignore) behind.
    type: path
    required: true
  dockerfile:
    description:
      - Path of the Containerfile, relative to O(path) or absolute.
      - C(Containerfile) in O(path) when it is not given, or C(Dockerfile) when there is none.
    type: str
  args:
    description: Values of C(ARG) instructions. With C(SOURCE_DATE_EPOCH) no time in the image is later than that.
    type: dict
  target:
    description: The stage that becomes the image, by its name or number. The last one when it is not given.
    type: str
  labels:
    description: Labels for the image, besides those of the file.
    type: dict
  network:
    description:
      - What C(RUN) instructions have of a network. C(RUN --network) goes before it; that of the host has to be
        given here as well.
      - V(default) is a network that is made for the build, with a way out, and is gone afterwards.
      - V(none) is no network, V(host) that of the host. Any other value is the name of a network made by
        M(mini.containers.mini_network).
    type: str
    default: default
  etc_hosts:
    description: Names and addresses for the C(/etc/hosts) that C(RUN) instructions have. They are in no layer.
    type: dict
  shm_size:
    description: Size of C(/dev/shm) for C(RUN) instructions, such as V(64M).
    type: str
  pull:
    description: Whether registries are asked for base images that are here. Those that are not here are always pulled.
    type: bool
    default: false
  nocache:
    description: Whether all steps are done, also those that were done before.
    type: bool
    default: false
  rebuild:
    description:
      - With V(always), the image is compared with what the file and the context make now, and built where they differ.
      - With V(never), an image of that name is good enough, whatever it was built from.
    type: str
    choices: [never, always]
    default: always
  platform:
    description: For which platform base images are taken, such as V(linux/arm64). That of the managed host by default.
    type: str
  secrets:
    description:
      - Files for C(RUN --mount=type=secret). They are in the memory of that one container, and in no layer, no record
        and no key of a step.
    type: list
    elements: dict
    suboptions:
      id:
        description: What the instruction calls it.
        type: str
        required: true
      type:
        description: Where its content is.
        type: str
        required: true
        choices: [file, env, value]
      src:
        description: Path on the managed host, with O(secrets[].type=file).
        type: path
      env:
        description: Name of a variable in the environment of the task, with O(secrets[].type=env).
        type: str
      value:
        description: The content, with O(secrets[].type=value).
        type: str
  registry:
    description:
      - The registry that O(registry_username) is for, such as V(registry.example:5000) or V(docker.io). Base images may
        be from several, and a login is told to no other than its own. Those of all others are in O(auth_file).
    type: str
extends_documentation_fragment: [mini.containers.state, mini.containers.registry]
notes:
  - C(ADD) of a URL is refused. M(ansible.builtin.get_url) fetches files into the context, and checks them.
  - C(RUN --security=insecure), and mounts of the types C(ssh) and secrets as variables, are refused.
  - Setuid bits of files in the context are not copied. C(COPY --chmod) sets them.
seealso:
  - module: mini.containers.mini_image
"""

EXAMPLES = r"""
- name: The context
  ansible.builtin.copy:
    src: web/
    dest: /srv/build/web/

- name: An image out of it
  mini.containers.mini_image_build:
    name: web:1.0
    path: /srv/build/web
    args:
      VERSION: "1.0"

- name: Only the stage that has the tools, with a secret
  mini.containers.mini_image_build:
    name: web-tools
    path: /srv/build/web
    target: tools
    network: none
    secrets:
      - id: token
        type: value
        value: "{{ vaulted_token }}"
"""

RETURN = r"""
image:
  description:
    - The image, with the keys of C(docker image inspect).
    - In check mode, the image as it is now, C(null) when there is none.
  returned: success
  type: dict
  sample: {"Id": "sha256:5d3c…", "RepoTags": ["web:1.0"], "Created": "2024-05-01T10:00:00Z",
           "Config": {"Cmd": ["httpd", "-f", "-p", "80"], "Env": ["PATH=/bin:/sbin"]},
           "RootFS": {"Type": "layers", "Layers": ["sha256:9b1e…"]}}
actions:
  description:
    - Names of the steps that were taken, or in check mode would be. C(--diff) has their lines.
    - A step that stands on one that is made anew may turn out to be made already; it counts as taken.
  returned: success
  type: list
  elements: str
  sample: [pull, copy, run, name]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.builds.converge import build
from ansible_collections.mini.containers.plugins.module_utils.glue.build import build_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import REGISTRY_OPTIONS, connection
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str"},
    "path": {"type": "path", "required": True},
    "dockerfile": {"type": "str"},
    "args": {"type": "dict"},
    "target": {"type": "str"},
    "labels": {"type": "dict"},
    "network": {"type": "str", "default": "default"},
    "etc_hosts": {"type": "dict"},
    "shm_size": {"type": "str"},
    "pull": {"type": "bool", "default": False},
    "nocache": {"type": "bool", "default": False},
    "rebuild": {"type": "str", "choices": ["never", "always"], "default": "always"},
    "platform": {"type": "str"},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "no_log": False,
        "options": {
            "id": {"type": "str", "required": True},
            "type": {"type": "str", "required": True, "choices": ["file", "env", "value"]},
            "src": {"type": "path"},
            "env": {"type": "str"},
            "value": {"type": "str", "no_log": True},
        },
    },
    "registry": {"type": "str"},
    **REGISTRY_OPTIONS,
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Build, or in check mode plan."""
    outcome = build(
        paths,
        build_spec(module.params),
        lambda reference: connection(module.params, reference, module.warn),
        check=module.check_mode,
    )
    for warning in outcome.warnings:
        module.warn(warning)
    return plan_result(module, outcome.plan, image=outcome.image)


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_together=[("registry", "registry_username", "registry_password")],
        supports_check_mode=True,
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
