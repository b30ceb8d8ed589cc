# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a list of containers: those of one, as `mini_container` documents them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.yaml import yaml_dump, yaml_load
from ansible_collections.mini.containers.plugins.modules.mini_container import DOCUMENTATION


def _without_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """As in glue/container_options.py: what is left out stays unset."""
    found = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key != "default"}
        if option["type"] == "dict" and "suboptions" in option:
            kept["suboptions"] = _without_defaults(option["suboptions"])
        found[name] = kept
    return found


_ENTRY = _without_defaults(yaml_load(DOCUMENTATION)["options"])


class ModuleDocFragment:
    """An entry, and what all entries have in common."""

    DOCUMENTATION = yaml_dump(
        {
            "options": {
                "containers": {
                    "description": [
                        "The containers, each with the options of M(mini.containers.mini_container), and what these are"
                        " when they are left out."
                    ],
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "suboptions": _ENTRY,
                },
                "defaults": {
                    "description": [
                        "Options that all O(containers) have in common. An entry's own go before them; of an option"
                        " that is a dictionary, such as C(labels) and C(env), each key of the entry does.",
                    ],
                    "type": "dict",
                    "suboptions": {name: option for name, option in _ENTRY.items() if name != "name"},
                },
            }
        }
    )
