# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker's local driver would be told, and who is to be told instead."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.glue.volume import volume_spec


def spec(options: Any) -> Any:
    return volume_spec({"name": "v", "driver": "local", "labels": None, "driver_options": options})


@pytest.mark.parametrize(
    ("options", "way"),
    [
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=100m,uid=1000"}, "mount of the type tmpfs"),
        ({"type": "none", "o": "bind", "device": "/srv/data"}, "bind /srv/data itself"),
        ({"o": "bind,ro", "device": "/srv/data"}, "bind /srv/data itself"),
        ({"type": "nfs", "o": "addr=192.0.2.1,rw", "device": ":/export"}, "mount :/export on the host"),
        ({"type": "btrfs", "device": "/dev/sda2"}, "mount /dev/sda2 on the host"),
        ({"o": 7}, "mount the directory on the host"),
    ],
)
def test_options_of_dockers_local_driver(options: dict[str, Any], way: str) -> None:
    with pytest.raises(BadInput, match="has no options") as refused:
        spec(options)
    assert way in (refused.value.hint or "")


@pytest.mark.parametrize("options", [None, {}])
def test_none_are_none(options: Any) -> None:
    assert spec(options).name == "v"
