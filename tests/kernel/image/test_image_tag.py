# SPDX-License-Identifier: GPL-3.0-or-later
"""Further names for images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_name, names_for
from imagehost import Host, rootfs


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """The images `web:1` and `web:2`."""
    found = Host(tmp_path)
    found.image("web:1", src=str(found.tar))
    found.tar.write_bytes(rootfs(b"new"))
    found.image("web:2", src=str(found.tar))
    return found


def tag(host: Host, name: str, *repository: str, existing: str = "overwrite", **options: Any) -> list[str]:
    """The steps of the task, which check mode told before."""
    call = (host.paths, image_name(name, options.pop("tag", None)), names_for(list(repository)), existing)
    before = storefiles.kept(host.paths.state_root)
    told = converge.tag(*call, check=True)
    assert storefiles.kept(host.paths.state_root) == before
    done = converge.tag(*call, **options)
    assert told.plan.describe() == done.plan.describe()
    assert done.image is not None
    assert set(names_for(list(repository))) <= set(done.image["RepoTags"]) or existing == "keep"
    storefiles.fsck(host.paths.state_root)
    return [f"{step.name} {step.target}" for step in done.plan]


def test_life(host: Host) -> None:
    first, second = host.find("web:1"), host.find("web:2")
    assert tag(host, "web:1", "web", "registry.example/team/web:1") == [
        "tag web:latest",
        "tag registry.example/team/web:1",
    ]
    assert tag(host, "web", "docker.io/library/web", "registry.example/team/web:1") == []
    assert host.find("registry.example/team/web:1").id == host.find("web").id == first.id
    assert tag(host, "web:2", "web", "new:1", existing="keep") == ["tag new:1"]
    assert host.find("web").id == first.id
    assert tag(host, second.id[7:19], "web") == ["tag web:latest", "sweep store"]
    assert tag(host, f"web@{first.manifest_digest}", "web") == ["tag web:latest", "sweep store"]
    assert tag(host, "web", "web:3", tag="2") == ["tag web:3"]
    assert host.find("web:3").id == second.id


def test_the_last_name_of_another_image(host: Host) -> None:
    first, second = host.find("web:1"), host.find("web:2")
    record = host.container(second)
    assert tag(host, "web:1", "web:2") == ["tag web:2", "sweep store"]
    assert host.store.find(second.id) is not None
    host.remove_container(record)
    host.image("web:2", "absent")
    assert [image.id for image in host.store.images()] == [first.id]


def test_what_it_was_made_of_is_remembered(host: Host) -> None:
    tag(host, "web:2", "other:1")
    assert host.actions("other:1", src=str(host.tar)) == []


def test_a_failure_gives_the_names_back(host: Host) -> None:
    first, second = host.find("web:1"), host.find("web:2")

    def refuse(event: str, step: Step) -> None:
        if (event, step.target) == ("done", "web:2"):
            raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="No space left"):
        converge.tag(host.paths, "web:1", ("new:1", "web:2"), "overwrite", observer=refuse)
    assert (host.find("web:1"), host.find("web:2")) == (first, second)
    assert host.store.find("new:1") is None


def test_refused(host: Host) -> None:
    with pytest.raises(NotFound, match="there is no image none:1 to give a name to"):
        converge.tag(host.paths, "none:1", ("new:1",), "overwrite")
    told = converge.tag(host.paths, "none:1", ("new:1",), "overwrite", check=True)
    assert told.warnings == ("there is no image none:1",)
    for names in ([], ["Web"], ["web:a b"], [f"web@sha256:{'0' * 64}"]):
        with pytest.raises(BadInput):
            names_for(names)
