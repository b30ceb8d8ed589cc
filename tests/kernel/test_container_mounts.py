# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a mount in `mounts` alone: how far down it reaches, images, the options of a tmpfs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, NotFound
from ansible_collections.mini.containers.plugins.module_utils.engine.containers import mounts
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import remove
from ansible_collections.mini.containers.plugins.module_utils.linux import libc

TOUCH = ["sh", "-c", "touch /mnt/top; touch /mnt/below/deep; ls /mnt/below"]


@pytest.fixture
def nested(tmp_path: Path) -> Iterator[Path]:
    """A directory with another file system below it, in which there is a file."""
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    libc.mount("tmpfs", str(source / "below"), "tmpfs", 0, "")
    (source / "below" / "there").touch()
    yield source
    libc.umount2(str(source / "below"), 0)


@pytest.mark.parametrize(
    ("fields", "written", "seen"),
    [
        ({}, {"top", "below/deep"}, "deep\nthere\n"),
        ({"read_only": True}, set(), "there\n"),
        ({"read_only": True, "read_only_force_recursive": True}, set(), "there\n"),
        ({"read_only": True, "read_only_non_recursive": True}, {"below/deep"}, "deep\nthere\n"),
        ({"non_recursive": True}, {"top"}, "deep\n"),
        ({"read_only": True, "non_recursive": True}, set(), ""),
    ],
)
def test_how_far_down_a_bind_mount_reaches(
    host: Any, nested: Path, fields: dict[str, Any], written: set[str], seen: str
) -> None:
    task = {"mounts": [{"type": "bind", "source": str(nested), "target": "/mnt", **fields}], "state": "present"}
    assert host.run(TOUCH, **{**task, "state": "started"}).stdout == seen
    assert {path for path in ("top", "below/deep") if (nested / path).exists()} == written
    host.container(**task)
    assert not host.container(**task).plan
    host.absent("c")


def test_another_reach_is_another_container(host: Any, tmp_path: Path) -> None:
    mount = {"type": "bind", "source": str(tmp_path), "target": "/mnt", "read_only": True}
    host.container(mounts=[mount], state="present")
    (reason,) = {
        step.reason
        for step in host.container(mounts=[{**mount, "non_recursive": True}], state="present", check=True).plan
        if step.name == "reserve-name"
    }
    assert reason == f"volumes: [{tmp_path}:/mnt:ro] → [{tmp_path}:/mnt:ro,non_recursive]"
    host.absent("c")


def test_a_kernel_that_cannot_make_it_read_only_all_the_way_down(
    host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "recurses", lambda: False)
    mount = {"type": "bind", "source": str(tmp_path), "target": "/mnt", "read_only": True}
    with pytest.raises(NotFound, match="takes Linux 5.12"):
        host.container(mounts=[{**mount, "read_only_force_recursive": True}])
    host.container(mounts=[mount], state="present")
    host.absent("c")


@pytest.fixture
def pictured(host: Any, rootfs: Path, tmp_path: Path) -> Any:
    """A host with an image of two layers' worth of files, `data`."""
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "file").write_text("old\n")
    (tree / "a" / "link").symlink_to("/a/b")
    (tree / "a" / "out").symlink_to("../../../../..")
    host.image("data", tree)
    return host


def _image(**fields: Any) -> dict[str, Any]:
    return {"mounts": [{"type": "image", "source": "data", "target": "/mnt", **fields}]}


@pytest.mark.parametrize(
    ("fields", "path"),
    [({}, "/mnt/a/b/file"), ({"subpath": "a"}, "/mnt/b/file"), ({"subpath": "a/link"}, "/mnt/file")],
)
@pytest.mark.parametrize("userns_mode", ["host", "private"])
def test_an_image_is_mounted_read_only(pictured: Any, fields: dict[str, Any], path: str, userns_mode: str) -> None:
    script = f"cat {path}; touch {path} 2>&1; touch /mnt/new 2>&1; stat -c %u {path}"
    done = pictured.run(["sh", "-c", script], userns_mode=userns_mode, **_image(**fields))
    assert done.stdout.splitlines()[0] == "old"
    assert done.stdout.count("Read-only file system") == 2
    assert done.stdout.splitlines()[-1] == "0"


def test_a_part_of_an_image_does_not_lead_out(pictured: Any) -> None:
    done = pictured.run(["ls", "/mnt"], **_image(subpath="a/out"))
    assert done.stdout.split() == ["a"], "the root of the image is where a link out of it ends"


def test_a_mounted_image_stays_and_a_new_one_makes_a_new_container(pictured: Any, tmp_path: Path) -> None:
    task = _image()
    pictured.container(**task)
    assert not pictured.container(**task).plan
    with pytest.raises(Conflict):
        remove(pictured.paths, "data", "")
    found = facts(pictured.paths, pictured.record())["Mounts"]
    assert [(mount["Type"], mount["RW"], mount["Destination"]) for mount in found] == [("image", False, "/mnt")]
    (tmp_path / "tree" / "a" / "b" / "file").write_text("new\n")
    pictured.image("data", tmp_path / "tree")
    plan = pictured.container(**task, check=True).plan
    assert any("mounts: image data:latest is" in step.reason for step in plan)
    assert not pictured.container(command="sleep 1000", check=True).plan, "a task that leaves mounts out compares none"
    pictured.container(**task)
    assert pictured.exec("c", "cat", "/mnt/a/b/file").stdout == b"new\n"
    assert not pictured.container(**task).plan
    pictured.absent("c")


def test_an_image_that_is_not_there(pictured: Any) -> None:
    with pytest.raises(NotFound, match="image none:latest, which is to be mounted, is not in the store"):
        pictured.container(**_image(source="none"))
    assert pictured.left() == []


def test_a_part_of_an_image_that_is_not_there(pictured: Any) -> None:
    with pytest.raises(Exception, match="No such file or directory"):
        pictured.container(**_image(subpath="a/c"))
    assert pictured.left() == []


def test_options_of_a_tmpfs(host: Any) -> None:
    more = [{"size": "1m"}, {"mode": "0700"}, {"exec": None}, {"uid": 1000}]
    task = {"mounts": [{"type": "tmpfs", "target": "/t", "tmpfs_options": more}]}
    host.container(**task)
    (line,) = [line for line in host.exec("c", "cat", "/proc/mounts").stdout.decode().splitlines() if " /t " in line]
    options = set(line.split()[3].split(","))
    assert {"size=1024k", "mode=700", "uid=1000", "nosuid", "nodev"} <= options
    assert "noexec" not in options
    assert not host.container(**task).plan
    assert not host.container(tmpfs=["/t:uid=1000,exec,mode=700,size=1048576"]).plan, "the same in other words"
    host.absent("c")


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({"type": "bind", "source": "/etc", "read_only_non_recursive": True}, "which it is not"),
        ({"type": "bind", "source": "/etc", "read_only_force_recursive": True}, "which it is not"),
        (
            {
                "type": "bind",
                "source": "/etc",
                "read_only": True,
                "read_only_force_recursive": True,
                "non_recursive": True,
            },
            "contradicts non_recursive",
        ),
        ({"type": "volume", "source": "v", "non_recursive": True}, "is for the type bind, not for volume"),
        ({"type": "image"}, "the source of /x is '', not the name of an image"),
        ({"type": "image", "source": "/etc"}, "not the name of an image"),
        ({"type": "image", "source": "data", "no_copy": True}, "no_copy of /x is for the type volume, not for image"),
        ({"type": "image", "source": "data", "subpath": "../x"}, "subpath"),
        ({"type": "image", "source": "A b"}, "A b"),
        ({"type": "bind", "source": "/etc", "subpath": "x"}, "subpath of /x is for the type volume or image"),
        ({"type": "tmpfs", "tmpfs_options": [{"size": "1M", "uid": "1"}]}, "not one name with its value"),
        ({"type": "tmpfs", "tmpfs_options": [{"sice": "1M"}]}, "is not an option of a tmpfs"),
        ({"type": "tmpfs", "tmpfs_options": [{"size": "lots"}]}, "size"),
        ({"type": "tmpfs", "tmpfs_mode": "rwx"}, "'rwx' is not a mode"),
        ({"type": "volume", "source": "v", "volume_driver": "nfs"}, "'nfs', which is not there"),
        ({"type": "volume", "source": "v", "volume_options": {"type": "nfs"}}, "has no options"),
    ],
)
def test_fields_that_make_no_sense(host: Any, mount: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        host.container(mounts=[{"target": "/x", **mount}])
    assert host.left() == []
