# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner of volumes, and what a container has mounted, by tables: both are pure functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Impact
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import Inherited, Mount, VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.mounts import resolve
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.storage import named, surely_absent
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.observe import Observation
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.plan import plan_absent, plan_present
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.record import ANONYMOUS, VolumeRecord
from ansible_collections.mini.containers.plugins.module_utils.glue.mounts import mounts, volumes_from
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

SPEC = VolumeSpec("v", labels={"a": "b"})
ABSENT = Observation("v")
THERE = Observation("v", VolumeRecord(SPEC, "2030"), written=True, data=True, directory=True)
ANEW = ["empty-volume", "write-volume", "discard-content"]


@pytest.mark.parametrize(
    ("labels", "seen", "recreate", "expected"),
    [
        pytest.param(None, ABSENT, "never", ["write-volume"], id="new"),
        pytest.param(None, ABSENT, "always", ["write-volume"], id="new, nothing to empty"),
        pytest.param(None, THERE, "never", [], id="as it should be"),
        pytest.param({"a": "b"}, THERE, "never", [], id="the same labels"),
        pytest.param({}, THERE, "never", ["write-volume"], id="fewer labels are changed in place"),
        pytest.param({}, THERE, "options-changed", ANEW, id="fewer labels, as under Docker"),
        pytest.param({"a": "b"}, THERE, "options-changed", [], id="no option has changed"),
        pytest.param(None, THERE, "always", ANEW, id="always"),
        pytest.param(None, replace(THERE, written=False), "never", ["write-volume"], id="a directory alone"),
        pytest.param(None, replace(THERE, data=False), "never", ["write-volume"], id="a record alone"),
        pytest.param(
            None,
            Observation("v", corrupt=True, written=True, data=True, directory=True),
            "always",
            ["set-record-aside", "write-volume"],
            id="a record that cannot be read",
        ),
    ],
)
def test_present(labels: Any, seen: Observation, recreate: str, expected: list[str]) -> None:
    given = {"labels"} if labels is not None else set()
    plan = plan_present(VolumeSpec("v", labels=labels or {}), given, seen, recreate)
    assert [step.name for step in plan] == expected
    assert plan.impact is (Impact.RECREATE if expected == ANEW else Impact.LIVE)


def test_absent() -> None:
    assert not plan_absent(ABSENT)
    assert [step.name for step in plan_absent(THERE)] == ["remove-volume"]
    assert [step.name for step in plan_absent(Observation("v", directory=True))] == ["remove-volume"]


def test_in_use() -> None:
    used = replace(THERE, users=("db", "web"))
    with pytest.raises(Conflict, match=r"cannot remove the volume v: containers have it \(db, web\)"):
        plan_absent(used)
    with pytest.raises(Conflict, match="cannot empty the volume v"):
        plan_present(SPEC, set(), used, "always")
    assert plan_present(VolumeSpec("v"), {"labels"}, used)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", Mount("/data", "", kind="volume")),
        ("v:/data", Mount("/data", "v", kind="volume")),
        ("v:/data/:nocopy", Mount("/data", "v", kind="volume", no_copy=True)),
        ("v:/data:ro,volume-nocopy", Mount("/data", "v", True, "volume", no_copy=True)),
        ("/srv:/data:ro,rslave,z", Mount("/data", "/srv", True, propagation="rslave")),
        ("/srv:/data:nocopy", Mount("/data", "/srv")),
    ],
)
def test_volumes(text: str, expected: Mount) -> None:
    assert mounts([text], [], []) == (expected,)


@pytest.mark.parametrize("text", ["", "data", "/", "v:", ":/data", "v:data", "v:/data:rx", "v:/", "a b:/data"])
def test_volumes_that_make_no_sense(text: str) -> None:
    with pytest.raises(BadInput):
        mounts([text], [], [])


def test_volumes_from() -> None:
    assert volumes_from(["b", "a:ro", "c:rw"]) == (Inherited("b"), Inherited("a", True), Inherited("c"))
    with pytest.raises(BadInput, match="write it as name or name:ro"):
        volumes_from(["a:rx"])


def test_whose_mount_counts(tmp_path: Path) -> None:
    """The task's, then those of other containers, then the image's own."""
    own = (Mount("/mine", "/srv"), Mount("/both", "", kind="volume"))
    spec = ContainerSpec("c", mounts=own, volumes_from=(Inherited("a", True), Inherited("b"), Inherited("gone")))
    donors = {
        "a": (Mount("/both", "theirs", kind="volume"), Mount("/theirs", "/opt"), Mount("/tmp", "tmpfs", kind="tmpfs")),
        "b": (Mount("/theirs", "/second"),),
        "gone": None,
    }
    found = resolve(spec, ("/theirs", "images/", "/mine/../both", "/images"), donors)
    assert found == (
        Mount("/both", "", kind="volume"),
        Mount("/images", "", kind="volume"),
        Mount("/mine", "/srv"),
        Mount("/theirs", "/opt", True, no_copy=True),
    )
    names = {mount.target: mount for mount in named(found, ImageStore(Paths(str(tmp_path))))}
    assert names["/both"].source != names["/images"].source
    assert len(names["/both"].source) == 64
    assert names["/both"].labels == ANONYMOUS
    assert names["/mine"] == Mount("/mine", "/srv")


@pytest.mark.parametrize("path", ["/", "", "..", "/x/..", "//"])
def test_an_image_whose_root_is_a_volume(path: str) -> None:
    with pytest.raises(BadInput, match="its root is a volume"):
        resolve(ContainerSpec("c", image="box"), (path,), ())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/none", True),
        ("/a/none/deeper", True),
        ("/a/file/below", True),
        ("/a", False),
        ("/a/upper/x", False),
        ("/link/none", False),
        ("/link", False),
    ],
)
def test_what_no_layer_has(tmp_path: Path, target: str, expected: bool) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    (lower / "a").mkdir(parents=True)
    (lower / "a" / "file").touch()
    (upper / "a" / "upper" / "x").mkdir(parents=True)
    (upper / "link").symlink_to("/a")
    assert surely_absent([str(lower), str(upper)], target) is expected
