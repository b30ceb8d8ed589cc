# SPDX-License-Identifier: GPL-3.0-or-later
"""An image made from a container that runs, and a container made from that image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

from ..waiting import eventually

CHANGE = """
echo new > /new; rm /etc/group; rm -r /var; mkdir /var; echo inner > /var/inner; echo kept > /data/volume
mv /tmp /moved; chown 1000:1000 /new; chmod 4755 /new; ln /new /again; touch /ready; sleep 1000
"""


def test_commit_of_a_running_container(host: Any) -> None:
    host.container("c", command=["sh", "-c", CHANGE], volumes=["data:/data"])
    eventually(Path(host.paths.container(host.record("c").id, "upper", "ready")).exists)
    wanted = image_spec({"name": "made", "from_container": "c", "command": ["sh", "-c", "true"]})
    assert [step.name for step in converge.ensure(host.paths, wanted).plan] == ["commit"]
    assert [step.name for step in converge.ensure(host.paths, wanted).plan] == []
    image = ImageStore(host.paths).resolve("made")
    assert len(image.layers) == 2
    look = "cat /new /var/inner; stat -c '%a %u %h' /new; ls /etc /data /moved 2>&1; ls -d /tmp 2>&1 | wc -l"
    finished = host.run(["sh", "-c", look], image="made")
    assert finished.stdout.splitlines()[:3] == ["new", "inner", "4755 1000 2"]
    assert "group" not in finished.stdout
    assert "passwd" in finished.stdout
    assert "volume" not in finished.stdout
    host.absent("c")
