# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that go: with their last name, and with what only they had."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from imagehost import Host, rootfs

from ..forking import killed_at


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Two images on one layer: `web:1`, which is `web:2`, too, and `other:1`."""
    found = Host(tmp_path)
    for name in ("web:1", "web:2"):
        found.image(name, src=str(found.tar))
    found.image("other:1", src=str(found.tar), user="7")
    return found


def gone(host: Host, name: str, **options: Any) -> tuple[list[str], list[str], list[str]]:
    """The steps, the names and the ids of a removal, which check mode told before."""
    before = storefiles.kept(host.paths.state_root)
    told = host.image(name, "absent", **options, check=True)
    assert storefiles.kept(host.paths.state_root) == before
    done = host.image(name, "absent", **options)
    assert (told.plan.describe(), told.untagged, told.deleted) == (done.plan.describe(), done.untagged, done.deleted)
    return [step.name for step in done.plan], list(done.untagged), list(done.deleted)


def test_the_last_name_takes_the_image_along(host: Host) -> None:
    web, other = host.find("web:1"), host.find("other:1")
    assert gone(host, "web:1") == (["untag", "sweep"], ["web:1"], [])
    assert gone(host, "web:1") == ([], [], [])
    storefiles.fsck(host.paths.state_root)
    assert gone(host, "web:2") == (["untag", "sweep"], ["web:2", f"web@{web.manifest_digest}"], [web.id])
    storefiles.fsck(host.paths.state_root)
    digest = f"other@{other.manifest_digest}"
    assert gone(host, "other", tag="1") == (
        ["untag", "sweep"],
        ["other:1", digest],
        sorted([other.id, *other.layers]),
    )
    assert host.kept() == []


def test_by_id(host: Host) -> None:
    web = host.find("web:1")
    for name in (web.id, web.id.removeprefix("sha256:"), web.id[7:19]):
        with pytest.raises(Conflict, match="it has several names \\(web:1, web:2\\); .* force: true"):
            host.image(name, "absent")
    steps, untagged, deleted = gone(host, web.id[7:19], force=True)
    assert steps == ["untag", "untag", "sweep"]
    assert (untagged, deleted) == (["web:1", "web:2", f"web@{web.manifest_digest}"], [web.id])
    assert gone(host, web.id) == ([], [], [])
    other = host.find("other:1")
    assert gone(host, other.id)[2] == sorted([other.id, *other.layers])
    assert host.kept() == []


def test_by_digest(host: Host) -> None:
    web, other = host.find("web:1"), host.find("other:1")
    assert gone(host, f"web@{other.manifest_digest}") == ([], [], [])
    assert gone(host, f"web:1@{web.manifest_digest}")[1] == ["web:1"]
    assert gone(host, f"web@{web.manifest_digest}")[1] == ["web:2", f"web@{web.manifest_digest}"]
    assert host.store.find(f"other@{other.manifest_digest}") == other


def test_what_containers_stand_on(host: Host) -> None:
    image = host.find("web:1")
    record = host.container(image)
    assert gone(host, "web:2")[1:] == (["web:2"], [])
    for name in ("web:1", image.id):
        with pytest.raises(Conflict, match="the container c stands on it; remove what"):
            host.image(name, "absent")
    assert gone(host, "web:1", force=True)[2] == []
    for force in (False, True):  # it has no name that could be taken away
        with pytest.raises(Conflict, match="the container c stands on it; remove what stands on it first$"):
            host.image(image.id, "absent", force=force)
    storefiles.fsck(host.paths.state_root)
    host.remove_container(record)
    assert gone(host, image.id) == (["sweep"], [], [image.id])
    storefiles.fsck(host.paths.state_root)


def test_others_without_a_name_stay_unless_they_are_pruned(host: Host) -> None:
    image = host.find("web:1")
    record = host.container(image)
    for name in ("web:1", "web:2"):
        host.image(name, "absent", force=True)
    host.remove_container(record)
    other = host.find("other:1")
    assert gone(host, "other:1", prune=False)[2] == [other.id]
    assert host.store.find(image.id) is not None
    host.image("other:1", src=str(host.tar), user="7")
    assert gone(host, "other:1")[2] == sorted([image.id, other.id, *other.layers])
    assert host.kept() == []


def test_what_is_no_name(host: Host) -> None:
    for name in ("Web", "a b", ""):
        with pytest.raises(BadInput):
            host.image(name, "absent")
    assert gone(host, "0123456789ab") == ([], [], [])


def test_where_there_is_no_store(tmp_path: Path) -> None:
    empty = Host(tmp_path)
    assert gone(empty, "web:1") == ([], [], [])
    assert not os.path.exists(empty.paths.state_root)


@pytest.mark.parametrize("call", range(6))
def test_killed_in_the_middle(host: Host, call: int) -> None:
    """At each of the first calls that change something."""
    host.tar.write_bytes(rootfs(b"new"))
    host.image("new:1", src=str(host.tar))
    killed_at(call, ("rename", "unlink", "replace"), partial(host.image, "new:1", "absent"))
    host.image("new:1", "absent")
    host.image("other:1", "absent")
    storefiles.fsck(host.paths.state_root)
    assert host.actions("new:1", "absent") == []


def test_a_step_that_fails_is_told(host: Host) -> None:
    def refuse(event: str, step: Step) -> None:
        if (event, step.name) == ("begin", "sweep"):
            raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="No space left"):
        host.image("web:1", "absent", observer=refuse)
    assert host.find("web:2").references == ("web:2",)
