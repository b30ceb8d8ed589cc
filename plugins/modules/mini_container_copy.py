#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files between containers and their host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_container_copy
short_description: Copy files into and out of containers
version_added: 0.1.0
description:
  - Copies a file or a directory with all below it between the managed host and a container, which may run or not.
  - A container is seen as its processes see it, with its volumes and mounts. Of one that does not run, everything is
    there but what it would have in memory.
  - Only what differs is written, each file whole. What else is in a directory stays, and a directory that is there
    keeps its mode and owner.
  - Sockets, pipes, devices and extended attributes are left out. Links in a directory are copied as links.
  - A file that is copied to a directory is put into it. A directory becomes the one that the path names.
  - All paths are on the managed host or in the container, none is on the controller.
options:
  container:
    description: Name or id of the container.
    type: str
    required: true
    aliases: [name]
  path:
    description: Path on the managed host.
    type: path
  container_path:
    description: Path in the container. The directory that it is in has to exist.
    type: path
  content:
    description: Content of a file in the container, instead of one that is on the host. Its mode is V(0644).
    type: str
  content_is_b64:
    description: Whether O(content) is Base64, as it must be for what is no text.
    type: bool
    default: false
  from_container:
    description: Whether the copy goes out of the container.
    type: bool
    default: false
  src:
    description:
      - Path of the original. It is on the managed host, with O(from_container=true) in the container.
      - Stands for O(path) or O(container_path).
    type: path
  dest:
    description:
      - Path of the copy. It is in the container, with O(from_container=true) on the managed host.
      - Stands for O(container_path) or O(path).
    type: path
  follow:
    description:
      - Whether a link at the very end of the path in the container stands for the file it points to.
      - A link to a directory always does.
    type: bool
    default: false
  local_follow:
    description:
      - As O(follow), for the path of an original on the host.
      - A link that stands in place of a copy on the host is never followed but replaced, since the container may
        have given it out before. A path that ends with a slash goes through a link to a directory.
    type: bool
    default: true
  owner_id:
    description:
      - Owner of the copies, by number. Needs O(group_id).
      - The user of the container's process, when left out. On the host, who runs the task.
    type: int
  group_id:
    description: Group of the copies, by number. Needs O(owner_id).
    type: int
  mode:
    description:
      - Mode of a file. That of the original, when left out.
      - Copies on the host have no setuid, setgid or sticky bits, unless this says so.
    type: raw
  mode_parse:
    description:
      - How O(mode) is read.
      - With V(modern), numbers as they are, which is what YAML makes of C(0644), and strings as octal digits.
      - With V(octal_string_only), strings of octal digits only.
      - With V(legacy), strings as decimal digits. It is the default of
        M(community.docker.docker_container_copy_into), but not here.
    type: str
    choices: [legacy, modern, octal_string_only]
    default: modern
  force:
    description:
      - With V(true), files are written without a look at what is there.
      - With V(false), a file that is there is left as it is.
      - Left out, files are compared.
    type: bool
extends_documentation_fragment:
  - mini.containers.state
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would be changed, without changing anything.
    support: full
  diff_mode:
    description:
      - Shows the plan, one line for each file with its reason, and of a single file both contents.
      - Where O(content) is given neither is shown, since the one before it may be a secret as well.
    support: full
seealso:
  - module: mini.containers.mini_container
  - module: mini.containers.mini_container_exec
"""

EXAMPLES = r"""
- name: A configuration file
  mini.containers.mini_container_copy:
    container: web
    path: /etc/site/nginx.conf
    container_path: /etc/nginx/nginx.conf
    mode: "0640"
    owner_id: 0
    group_id: 101

- name: A text
  mini.containers.mini_container_copy:
    container: web
    content: "{{ lookup('ansible.builtin.template', 'index.html.j2') }}"
    container_path: /www/index.html

- name: The data of a container, out of it
  mini.containers.mini_container_copy:
    container: database
    from_container: true
    src: /var/lib/data
    dest: /srv/backup/data
"""

RETURN = r"""
container_path:
  description: The path in the container.
  returned: success
  type: str
  sample: /etc/nginx/nginx.conf
dest:
  description: Where the copy is.
  returned: success
  type: str
  sample: /etc/nginx/nginx.conf
actions:
  description: A name for each file, directory or link that was written, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [create, replace, set-attributes]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.copies.converge import copy
from ansible_collections.mini.containers.plugins.module_utils.glue.copy import copy_spec, diff
from ansible_collections.mini.containers.plugins.module_utils.glue.task import (
    STATE_ROOT_OPTION,
    plan_result,
    run_task,
)

ARGUMENT_SPEC: dict[str, Any] = {
    "container": {"type": "str", "required": True, "aliases": ["name"]},
    "path": {"type": "path"},
    "container_path": {"type": "path"},
    "content": {"type": "str", "no_log": True},
    "content_is_b64": {"type": "bool", "default": False},
    "from_container": {"type": "bool", "default": False},
    "src": {"type": "path"},
    "dest": {"type": "path"},
    "follow": {"type": "bool", "default": False},
    "local_follow": {"type": "bool", "default": True},
    "owner_id": {"type": "int"},
    "group_id": {"type": "int"},
    "mode": {"type": "raw"},
    "mode_parse": {"type": "str", "choices": ["legacy", "modern", "octal_string_only"], "default": "modern"},
    "force": {"type": "bool"},
    **STATE_ROOT_OPTION,
}


def work(module: AnsibleModule, paths: Paths) -> dict[str, Any]:
    """Copy, or in check mode plan."""
    spec = copy_spec(module.params)
    outcome = copy(paths, spec, check=module.check_mode, diff=module._diff)
    inside = spec.inside if spec.out else outcome.path
    result = plan_result(module, outcome.plan, container_path=inside, dest=outcome.path)
    if module._diff:
        result["diff"].update(diff(outcome))
    return result


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        supports_check_mode=True,
        mutually_exclusive=[
            ("path", "src", "content"),
            ("path", "dest"),
            ("container_path", "dest"),
            ("container_path", "src"),
        ],
        required_together=[("src", "dest"), ("owner_id", "group_id")],
        required_one_of=[("container_path", "dest")],
    )
    run_task(module, work)


if __name__ == "__main__":
    main()
