# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody uses goes, what is in use never does, and check mode tells which is which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step, silent
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.prune import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import converge as volumes
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

ALL = {"containers": True, "images": True, "networks": True, "volumes": True}


def prune(host: Any, observer: Any = silent, **options: Any) -> Any:
    """What the task returns, which check mode told before."""
    told = converge.prune(host.paths, wanted(options), check=True)
    done = converge.prune(host.paths, wanted(options), observer=observer)
    if observer is silent:
        assert told.plan.describe() == done.plan.describe()
        assert told.removed == done.removed
        assert not converge.prune(host.paths, wanted(options)).plan
    return done


def volume(host: Any, name: str, **labels: str) -> None:
    volumes.ensure(host.paths, VolumeSpec(name, labels=labels), {"labels"})


def there(host: Any) -> list[str]:
    """All that is on the host, by name."""
    paths = host.paths
    found = [
        name
        for path in (paths.names, paths.networks, paths.volumes)
        if os.path.isdir(path)
        for name in os.listdir(path)
    ]
    return sorted([*found, *(name for image in ImageStore(paths).images() for name in image.references)])


def test_what_is_in_use_stays(host: Any, rootfs: Path) -> None:
    host.network("lan")
    host.network("idle")
    host.image("spare", rootfs, labels={"x": "y"})
    volume(host, "data")
    volume(host, "old")
    host.container("up", networks=[{"name": "lan"}], volumes=["data:/data"])
    host.container("down", state="present", volumes=["/anonymous", "old:/old"])
    stopped = host.record("down")
    Path(host.paths.container(stopped.id, "upper", "file")).write_bytes(os.urandom(100_000))
    (anonymous,) = [mount.source for mount in stopped.mounts if mount.target == "/anonymous"]
    done = prune(host, **{**ALL, "containers": False})
    assert done.removed == {
        "images": [],
        "images_untagged": [],
        "images_space_reclaimed": 0,
        "networks": ["idle"],
        "volumes": [],
        "volumes_space_reclaimed": 0,
    }
    done = prune(host, **ALL, images_filters={"dangling": False}, volumes_filters={"all": True})
    assert done.removed["containers"] == [stopped.id]
    assert done.removed["containers_space_reclaimed"] > 100_000
    assert done.removed["images_untagged"] == ["spare:latest"]
    assert sorted(done.removed["volumes"]) == sorted([anonymous, "old"])
    assert done.removed["networks"] == []
    assert there(host) == ["box:latest", "data", "lan", "up"]
    host.absent("up")
    done = prune(host, **ALL, images_filters={"dangling": False})
    assert done.removed["images_untagged"] == ["box:latest"]
    assert done.removed["images_space_reclaimed"] > os.path.getsize("/bin/busybox")
    assert done.removed["networks"] == ["lan"]
    assert there(host) == ["data"]
    assert os.listdir(host.paths.layers) == ["tmp"]


def test_filters(host: Any, rootfs: Path) -> None:
    host.image("kept", rootfs, labels={"keep": ""})
    host.container("a", state="present", labels={"team": "web"})
    host.container("b", state="present", labels={"team": "db"})
    volume(host, "v", team="web")
    volume(host, "w")
    host.network("n", labels={"team": "web"})
    assert not prune(host, **ALL, **{f"{kind}_filters": {"label": "team=none"} for kind in ALL}).plan
    assert not prune(host, containers=True, containers_filters={"until": "1h"}).plan
    done = prune(host, **ALL, **{f"{kind}_filters": {"label": "team=web"} for kind in ALL})
    assert [step.target for step in done.plan] == ["a", "n"]
    done = prune(host, volumes=True, volumes_filters={"all": True, "label!": "team"})
    assert done.removed["volumes"] == ["w"]
    done = prune(host, containers=True, images=True, images_filters={"dangling": False, "label!": ["keep"]})
    assert done.removed["images_untagged"] == ["box:latest"]
    assert there(host) == ["kept:latest", "v"]


def test_without_a_name(host: Any, rootfs: Path) -> None:
    """An image whose last name was taken away while a container stood on it, and what is left of nothing."""
    host.image("old", rootfs, labels={"a": "b"})
    old = ImageStore(host.paths).resolve("old")
    host.container("c", state="present", image="old")
    host.image("old", rootfs, labels={"a": "c"})
    os.mkdir(os.path.join(host.paths.layers, "0" * 64))
    assert not prune(host, images=True, images_filters={"label": "none"}).removed["images"]
    host.absent("c")
    assert prune(host, images=True).removed["images"] == [old.id]
    assert ImageStore(host.paths).find("old") is not None


def test_what_comes_into_use_meanwhile_stays(host: Any, rootfs: Path) -> None:
    host.network("lan")
    host.image("spare", rootfs, labels={"x": "y"})
    host.container("c", state="present", image="spare")
    volume(host, "data")
    volume(host, "free")

    def meanwhile(event: str, step: Step) -> None:
        if (event, step.name) == ("begin", "remove-container"):
            host.container("c", state="started")
            host.container("d", networks=[{"name": "lan"}], volumes=["data:/data"])

    done = prune(host, meanwhile, **ALL, images_filters={"dangling": False}, volumes_filters={"all": True})
    assert done.removed["containers"] == done.removed["images"] == done.removed["networks"] == []
    assert done.removed["images_untagged"] == []
    assert done.removed["images_space_reclaimed"] == done.removed["containers_space_reclaimed"] == 0
    assert done.removed["volumes"] == ["free"]
    assert there(host) == ["box:latest", "c", "d", "data", "lan", "spare:latest"]
    host.absent("c", "d")
    host.no_network("lan")


def test_a_record_that_cannot_be_read(host: Any) -> None:
    host.network("lan")
    host.container("c", state="present", networks=[{"name": "lan"}])
    host.container("d", state="present")
    broken = host.record("c").id
    path = Path(host.paths.container_record(broken))
    whole = path.read_bytes()
    path.write_text("{")
    done = prune(host, **ALL, images_filters={"dangling": False})
    assert [step.target for step in done.plan] == ["d"]
    assert [broken[:12] in warning for warning in done.warnings] == [True]
    path.write_bytes(whole)
    assert [step.target for step in prune(host, **ALL).plan] == ["c", "lan"]


@pytest.mark.parametrize("step", ["remove-container", "untag", "sweep", "remove-network", "remove-volume"])
def test_a_failure_in_the_middle(host: Any, step: str) -> None:
    host.network("lan")
    volume(host, "v")
    host.container("c", state="present")

    def refuse(event: str, now: Step) -> None:
        if (event, now.name) == ("begin", step):
            raise OSError(5, "Input/output error")

    options = {**ALL, "images_filters": {"dangling": False}, "volumes_filters": {"all": True}}
    with pytest.raises(Exception, match="Input/output error"):
        converge.prune(host.paths, wanted(options), observer=refuse)
    prune(host, **options)
    assert there(host) == []
