#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module from the copy that the host keeps."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mini_kept
short_description: Run a module of this collection that the host keeps
version_added: 0.1.0
description:
  - What the other modules of the collection send in their stead once a host has their code. No task needs it itself.
options:
  module:
    description: Full name of the module.
    type: str
    required: true
  tree:
    description: Directory of the code.
    type: path
    required: true
  arguments:
    description: Options of the module.
    type: dict
    required: true
author: mini.containers maintainers
"""

EXAMPLES = r"""
# Not for tasks: mini.containers.mini_container and the others use it.
"""

RETURN = r"""
kept:
  description: V(false) when the host does not have the code; everything else is the result of the module.
  returned: when the code is not there
  type: bool
"""

import os
import sys

# A script that is read from a pipe has the working directory in its path, whoever may write there.
for unsafe in {"", ".", os.path.dirname(os.path.abspath(sys.argv[0]))}.intersection(sys.path):
    sys.path.remove(unsafe)

import fcntl
import importlib
import json
import stat

# No """ can be in it: JSON sets a backslash before a quote, and no two strings side by side.
ASKED = r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"""


def main() -> None:
    """The module's result, or that it is not there."""
    asked = json.loads(ASKED)
    namespace, collection, name = asked["module"].split(".")
    module = f"ansible_collections.{namespace}.{collection}.plugins.modules.{name}"
    tree = asked["tree"]
    if os.geteuid() != 0 or not _held(tree, f"{module.replace('.', '/')}.py"):
        sys.stdout.write(json.dumps({"changed": False, "kept": False}))
        return
    sys.path.insert(0, tree)
    basic = importlib.import_module("ansible.module_utils.basic")
    own = {name: value for name, value in asked.items() if name.startswith("_ansible_")}
    arguments = {**asked["arguments"], **own, "_ansible_module_name": asked["module"]}
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(module).main()


def _held(tree: str, name: str) -> bool:
    """Whether the module is there, and nobody but root can have put it there. Nobody removes it while we run."""
    try:
        for path in (os.path.dirname(tree), tree):
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return False
        fcntl.flock(os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH | fcntl.LOCK_NB)
        return os.path.exists(os.path.join(tree, name))
    except OSError:
        return False


if __name__ == "__main__":
    main()
