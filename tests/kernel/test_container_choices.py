# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task leaves to be compared, and devices of the host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge as images
from ansible_collections.mini.containers.plugins.module_utils.engine.images.spec import ImageSpec
from ansible_collections.mini.containers.plugins.module_utils.image.reference import parse
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from ansible_collections.mini.containers.plugins.module_utils.image.writer import ImageWriter


@pytest.fixture
def twin(host: Any, rootfs: Path) -> Any:
    """A second image, with a label."""
    config = {"env": {"PATH": "/bin"}, "labels": {"made-by": "test"}}
    images.ensure(host.paths, ImageSpec(parse("twin"), src=str(rootfs), config=config))
    return host


def test_another_image(twin: Any) -> None:
    twin.container(image="box")
    assert twin.container(image="box:latest").plan.describe() == []
    ignored = {"image": "twin", "comparisons": {"image": "ignore"}}
    assert twin.container(**ignored).plan.describe() == []
    new = twin.container(**ignored, env={"A": "1"})
    assert new.plan.impact is Impact.RECREATE
    assert twin.record().image_id == ImageStore(twin.paths).resolve("twin").id, "what is made anew is what is asked for"
    steps = twin.container(image="box").plan
    assert "image:" in " ".join(steps.describe())
    twin.absent("c")


def test_another_name_for_the_image(host: Any) -> None:
    _name(host, "other:latest")
    host.container(image="box")
    assert not host.container(image="other", image_name_mismatch="ignore").plan
    assert not host.container(image=host.record().image_id).plan, "an id is no other name"
    steps = host.container(image="other").plan
    assert steps.impact is Impact.RECREATE
    assert "image: box → other" in " ".join(steps.describe())
    host.absent("c")


def _name(host: Any, name: str) -> None:
    store = ImageStore(host.paths)
    with store.locked():
        ImageWriter(store).name(store.layout.entries()[0], name)


def test_labels_of_the_image(twin: Any) -> None:
    strict = {"image": "twin", "image_label_mismatch": "fail"}
    with pytest.raises(BadInput, match="labels that the task does not name: made-by"):
        twin.container(**strict)
    twin.container(**strict, labels={"made-by": "me"})
    twin.container("plain", image="box")
    current = {**strict, "image_comparison": "current-image", "comparisons": {"image": "ignore"}}
    assert not twin.container("plain", **current).plan
    twin.absent("c", "plain")


def test_more_is_left_alone(host: Any) -> None:
    """And what is added joins it."""
    more = {"comparisons": {"env": "allow_more_present", "labels": "allow_more_present"}}
    host.container(env={"A": "1", "B": "2"}, labels={"a": "1"})
    assert not host.container(env={"A": "1"}, labels={}, **more).plan
    host.container(env={"C": "3"}, **more)
    assert host.record().spec.env == {"A": "1", "B": "2", "C": "3"}
    host.container(labels={"b": "2"}, **more)
    assert host.record().spec.labels == {"a": "1", "b": "2"}
    host.absent("c")


def test_devices_of_the_host(host: Any, tmp_path: Path) -> None:
    """The node is made as on the host; the kernel allows what the task allows, and no more."""
    node = tmp_path / "devices" / "below" / "fuse"
    node.parent.mkdir(parents=True)
    os.mknod(node, 0o020640, os.makedev(10, 229))
    host.container(devices=[f"{node}:/dev/mine:r", f"{tmp_path}/devices:/dev/all:rw"])
    shown = host.exec("c", "stat", "-c", "%a %t %T", "/dev/mine", "/dev/all/below/fuse").stdout.decode()
    assert shown == "640 a e5\n" * 2
    host.container(devices=[f"{node}:/dev/mine:r"])
    if Path("/dev/fuse").exists():
        assert host.exec("c", "sh", "-c", ": < /dev/mine").rc == 0
    assert b"Operation not permitted" in host.exec("c", "sh", "-c", ": > /dev/mine").stderr
    host.container(devices=[], device_cgroup_rules=["c 10:229 w"], capabilities=["MKNOD"])
    opened = "mknod /dev/mine c 10 229 && : > /dev/mine; : < /dev/mine"
    assert host.exec("c", "sh", "-c", opened).stderr.count(b"not permitted") == 1
    host.absent("c")


def test_a_device_for_users_of_its_own(host: Any) -> None:
    host.container(userns_mode="private", devices=["/dev/zero:/dev/mine"])
    assert host.exec("c", "sh", "-c", "stat -c %u /dev/mine; head -c 3 /dev/mine | wc -c").stdout == b"0\n3\n"
    host.absent("c")


def test_the_host_wins_no_limit_back(host: Any) -> None:
    """A container that was restarted has its limits, and its choices, as before."""
    host.container(memory="32M", cpu_quota=20000, cpu_period=50000)
    host.container(restart=True)
    assert not host.container().plan
    assert host.container(cpus=1.0).plan.impact is Impact.LIVE
    assert not host.container(cpus=1.0).plan
    host.absent("c")
