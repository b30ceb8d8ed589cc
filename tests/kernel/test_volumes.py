# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: named and anonymous, filled from the image, shared, kept and removed."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, MiniError, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import converge, use
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes.record import every, find
from ansible_collections.mini.containers.plugins.module_utils.linux import files

from .forking import all_at_once, in_a_process

CAPABILITY = b"\x01\x00\x00\x02" + b"\x00\x04" + bytes(14)  # cap_net_bind_service, VFS_CAP_REVISION_2


@pytest.fixture
def stored(host: Any, rootfs: Path, tmp_path: Path) -> Iterator[Any]:
    """A host with an image that has something where volumes will be."""
    root = tmp_path / "image"
    shutil.copytree(rootfs, root, symlinks=True)
    data = root / "data"
    (data / "sub" / "deep").mkdir(parents=True)
    (data / "file").write_text("content\n")
    os.link(data / "file", data / "sub" / "again")
    (data / "link").symlink_to("/etc/passwd")
    os.mkfifo(data / "pipe")
    for path, mode in ((data / "file", 0o4750), (data / "sub", 0o2711), (data, 0o1770)):
        os.chown(path, 1000, 29)
        os.chmod(path, mode)
    os.utime(data / "file", ns=(10**18, 10**18 + 5))
    os.utime(data / "sub", ns=(10**18, 10**18))
    os.utime(data, ns=(10**18, 10**18))
    (root / "out").symlink_to("../../../../../../outside")
    (root / "outside").mkdir()
    (root / "outside" / "inside").write_text("image")
    host.image("full", root)
    host.image("voluminous", root, volumes=("/data", "/empty/"))
    _add_what_tarfile_cannot(host)
    yield host
    files.remove_tree(host.paths.volumes)


def _add_what_tarfile_cannot(host: Any) -> None:
    for layer in os.listdir(host.paths.layers):
        data = Path(host.paths.layers, layer, "data")
        if data.is_dir():
            with open(data / "holes", "wb") as handle:
                handle.seek(1 << 30)
                handle.write(b"end of the first part")
                handle.truncate(1 << 40)
            os.setxattr(data / "file", "user.note", b"kept")
            os.setxattr(data / "file", "security.capability", CAPABILITY)
            os.utime(data, ns=(10**18, 10**18))


def volume(host: Any, name: str = "v", recreate: str = "never", **fields: Any) -> list[str]:
    """The steps of the task `mini_volume`."""
    extra = {key: fields.pop(key) for key in ("check",) if key in fields}
    outcome = converge.ensure(host.paths, VolumeSpec(name, **fields), set(fields), recreate=recreate, **extra)
    return [step.name for step in outcome.plan]


def names(host: Any) -> list[str]:
    return [record.name for record in every(host.paths)]


def test_life(stored: Any) -> None:
    assert volume(stored, check=True, labels={"a": "b"}) == ["write-volume"]
    assert names(stored) == []
    assert volume(stored, labels={"a": "b"}) == ["write-volume"]
    assert volume(stored, labels={"a": "b"}) == []
    assert volume(stored) == []
    data = Path(stored.paths.volume_data("v"))
    (data / "x").write_text("kept")
    born = find(stored.paths, "v").created
    assert volume(stored, labels={"c": "d"}) == ["write-volume"]
    shown = converge.ensure(stored.paths, VolumeSpec("v"), set()).volume
    assert shown == {
        "Name": "v",
        "Driver": "local",
        "Mountpoint": str(data),
        "Labels": {"c": "d"},
        "CreatedAt": born,
        "Scope": "local",
        "Options": {},
    }
    assert (data / "x").read_text() == "kept"
    assert volume(stored, recreate="options-changed", labels={"c": "d"}) == []
    again = ["empty-volume", "write-volume", "discard-content"]
    assert volume(stored, recreate="options-changed", labels={}) == again
    assert os.listdir(data) == []
    assert volume(stored, recreate="always") == again
    assert sorted(os.listdir(stored.paths.volume("v"))) == ["_data", "record.json"]
    assert converge.remove(stored.paths, "v").plan
    assert not converge.remove(stored.paths, "v").plan
    assert not os.path.exists(stored.paths.volumes)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-rf", "x" * 300, "new\nline"])
def test_bad_names(stored: Any, name: str) -> None:
    with pytest.raises(BadInput, match="is not a volume name"):
        converge.remove(stored.paths, name)


def test_a_volume_in_use_is_not_removed(stored: Any) -> None:
    stored.container("web", volumes=["v:/data"])
    stored.container("db", volumes=["v:/data"], state="present")
    for refused in (
        lambda: converge.remove(stored.paths, "v"),
        lambda: volume(stored, recreate="always"),
        lambda: converge.remove(stored.paths, "v", check=True),
    ):
        with pytest.raises(Conflict, match=r"the volume v: containers have it \(db, web\)"):
            refused()
    stored.absent("web", "db")
    assert converge.remove(stored.paths, "v").plan


def test_a_record_that_cannot_be_read_is_set_aside(stored: Any) -> None:
    volume(stored, labels={"a": "b"})
    (Path(stored.paths.volume_data("v")) / "x").write_text("kept")
    Path(stored.paths.volume_record("v")).write_text("{")
    assert names(stored) == []
    stored.container(volumes=["v:/v"])
    assert stored.exec("c", "cat", "/v/x").stdout == b"kept"
    stored.container(state="absent", keep_volumes=False, force_kill=True)
    assert Path(stored.paths.volume_record("v")).read_text() == "{"
    assert volume(stored, labels={"a": "b"}) == ["set-record-aside", "write-volume"]
    assert volume(stored, labels={"a": "b"}) == []
    assert os.listdir(stored.paths.volume_data("v")) == ["x"]


def test_a_directory_without_a_record_is_a_volume(stored: Any) -> None:
    os.makedirs(stored.paths.volume_data("old"))
    assert names(stored) == ["old"]
    assert volume(stored, "old") == ["write-volume"]
    assert volume(stored, "old") == []


@pytest.mark.parametrize("step", ["empty-volume", "write-volume", "discard-content"])
@pytest.mark.parametrize("event", ["begin", "done"])
def test_a_failure_gives_the_content_back(stored: Any, step: str, event: str) -> None:
    volume(stored, labels={"a": "b"})
    (Path(stored.paths.volume_data("v")) / "x").write_text("kept")

    def observer(seen: str, done: Any) -> None:
        if (seen, done.name) == (event, step):
            raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(MiniError, match="no space"):
        converge.ensure(stored.paths, VolumeSpec("v"), set(), recreate="always", observer=observer)
    kept = os.listdir(stored.paths.volume_data("v"))
    assert kept == ([] if (event, step) == ("done", "discard-content") else ["x"])
    assert find(stored.paths, "v").spec.labels == {"a": "b"}
    assert volume(stored) == []


def _same(stored: Any, place: str, *, interrupted: bool = False) -> None:
    """The volume at `place` is what the image has at /data; the time of its root is that of the last thing put in."""
    data = Path(stored.paths.volume_data(place))
    found = {name: os.lstat(data / name) for name in ("", "file", "sub", "sub/again", "link", "pipe", "holes")}
    assert sorted(os.listdir(data)) == ["file", "holes", "link", "pipe", "sub"]
    for name, mode in (("", 0o41770), ("file", 0o104750), ("sub", 0o42711)):
        assert (found[name].st_mode, found[name].st_uid, found[name].st_gid) == (mode, 1000, 29)
    assert found["file"].st_ino == found["sub/again"].st_ino
    assert found["file"].st_mtime_ns == 10**18 + 5 or found["file"].st_mtime_ns == 10**18
    assert found["sub"].st_mtime_ns == 10**18
    assert interrupted or found[""].st_mtime_ns == 10**18
    assert os.readlink(data / "link") == "/etc/passwd"
    assert found["holes"].st_size == 1 << 40
    assert found["holes"].st_blocks < 1000
    assert (data / "file").read_text() == "content\n"
    assert os.getxattr(data / "file", "user.note") == b"kept"
    assert os.getxattr(data / "file", "security.capability") == CAPABILITY


def test_an_empty_volume_gets_what_the_image_has(stored: Any) -> None:
    options = {"image": "full", "volumes": ["v:/data"]}
    assert "make-volume" in [step.name for step in stored.container(**options).plan]
    _same(stored, "v")
    assert not stored.container(**options).plan
    stored.exec("c", "sh", "-c", "rm -r /data/* && echo mine > /data/mine")
    stored.container(recreate=True, command="sleep 1000", stop_timeout=0, **options)
    assert os.listdir(stored.paths.volume_data("v")) == ["mine"]
    stored.absent("c")
    assert os.listdir(stored.paths.volume_data("v")) == ["mine"]


@pytest.mark.parametrize(
    "options",
    [
        {"volumes": ["v:/data:nocopy"]},
        {"mounts": [{"type": "volume", "source": "v", "target": "/data", "no_copy": True}]},
    ],
)
def test_unless_the_mount_says_no(stored: Any, options: dict[str, Any]) -> None:
    stored.container(image="full", **options)
    assert os.listdir(stored.paths.volume_data("v")) == []
    stored.absent("c")


@pytest.mark.parametrize(
    ("target", "expected"), [("/out", ["inside"]), ("/../../outside", ["inside"]), ("/up/../out", ["inside"])]
)
def test_nothing_is_copied_from_outside(stored: Any, tmp_path: Path, target: str, expected: list[str]) -> None:
    """The image has a link that would lead out of its layers, and a directory of that name itself."""
    outside = Path("/outside")
    assert not outside.exists()
    outside.mkdir()
    try:
        (outside / "canary").write_text("host")
        stored.container(image="full", volumes=[f"v:{target}"])
        assert os.listdir(stored.paths.volume_data("v")) == expected
        stored.exec("c", "touch", "/outside/new")
        assert os.listdir(outside) == ["canary"]
    finally:
        shutil.rmtree(outside)
    stored.absent("c")


@pytest.mark.parametrize("moment", ["copy_tree", "sync_tree", "dress"])
def test_killed_while_it_is_filled(stored: Any, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next container with the volume finds the whole, never a half."""

    def die(*_arguments: Any, **_named: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dying() -> None:
        monkeypatch.setattr(use, moment, die)
        stored.container(image="full", volumes=["v:/data"])

    assert os.WIFSIGNALED(os.waitpid(in_a_process(dying), 0)[1])
    stored.container(image="full", volumes=["v:/data"], command="sleep 1000", stop_timeout=0)
    _same(stored, "v", interrupted=moment == "dress")
    assert sorted(os.listdir(stored.paths.volume("v"))) == ["_data", "record.json"]
    stored.absent("c")


def test_the_volumes_of_an_image_are_anonymous(stored: Any) -> None:
    options = {"image": "voluminous", "stop_timeout": 0}
    stored.container(**options)
    mounts = {mount.target: mount.source for mount in stored.record().mounts}
    assert sorted(mounts) == ["/data", "/empty"]
    assert all(len(name) == 64 for name in mounts.values())
    _same(stored, mounts["/data"])
    shown = facts(stored.paths, stored.record())["Mounts"]
    assert [(mount["Type"], mount["Name"]) for mount in shown] == [("volume", mounts[key]) for key in sorted(mounts)]
    assert find(stored.paths, mounts["/data"]).spec.labels == {"com.docker.volume.anonymous": ""}
    assert not stored.container(**options).plan
    stored.container(recreate=True, command="sleep 1000", **options)
    assert not set(mounts.values()) & {mount.source for mount in stored.record().mounts}
    assert len(names(stored)) == 4  # kept, as under docker_container
    stored.container(state="absent", keep_volumes=False)
    assert sorted(names(stored)) == sorted(mounts.values())


def test_anonymous_volumes_go_with_the_container_when_asked(stored: Any) -> None:
    stored.container(image="voluminous", volumes=["/mine", "named:/empty"], stop_timeout=0)
    assert len(names(stored)) == 3
    stored.container(recreate=True, image="voluminous", command="sleep 1000", stop_timeout=0, keep_volumes=False)
    assert len(names(stored)) == 3  # /data and /empty of the new one, and the named one
    stored.container(state="absent", keep_volumes=False)
    assert names(stored) == ["named"]


def test_a_container_that_cannot_start_leaves_no_anonymous_volume(stored: Any) -> None:
    with pytest.raises(MiniError):
        stored.container(image="voluminous", command="/nothing")
    assert names(stored) == []


def test_another_mount_takes_the_place_of_the_images_volume(stored: Any) -> None:
    stored.container(image="voluminous", volumes=["v:/data"], tmpfs=["/empty"])
    assert names(stored) == ["v"]
    stored.absent("c")


def test_the_root_as_a_volume_is_refused(host: Any, rootfs: Path) -> None:
    host.image("strange", rootfs, volumes=("/x/../..",))
    with pytest.raises(BadInput, match="says that its root is a volume"):
        host.container(image="strange")


def test_users_of_its_own(stored: Any) -> None:
    """In the container and on the disk the owners are those that the image has."""
    stored.container(image="voluminous", userns_mode="private", volumes=["v:/data"])
    _same(stored, "v")
    script = "stat -c '%a %u:%g' /data /data/file; echo x > /data/new; cat /data/file"
    assert stored.exec("c", "sh", "-c", script).stdout == b"1770 1000:29\n4750 1000:29\ncontent\n"
    assert Path(stored.paths.volume_data("v"), "new").stat().st_uid == 0
    stored.absent("c")


def test_volumes_from(stored: Any, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    stored.container("a", image="voluminous", volumes=[f"{tmp_path}/bound:/bound", "v:/v"], tmpfs=["/t"])
    with pytest.raises(NotFound, match="container nobody of volumes_from does not exist"):
        stored.container("b", volumes_from=["nobody"])
    options = {"volumes_from": ["a:ro"], "volumes": ["own:/v"]}
    stored.container("b", **options)
    assert not stored.container("b", **options).plan
    assert stored.exec("b", "cat", "/data/file").stdout == b"content\n"
    assert stored.exec("b", "touch", "/bound/x").rc != 0
    assert stored.exec("b", "touch", "/v/x").rc == 0
    stored.exec("a", "touch", "/bound/y")
    assert stored.exec("b", "ls", "/bound").stdout == b"y\n"
    assert {mount.target for mount in stored.record("b").mounts} == {"/bound", "/data", "/empty", "/v"}
    shared = next(mount.source for mount in stored.record("a").mounts if mount.target == "/data")
    stored.container("a", state="absent", keep_volumes=False, force_kill=True)
    assert shared in names(stored)
    stored.container("b", state="absent", keep_volumes=False, force_kill=True)
    assert names(stored) == ["own", "v"]


def test_a_part_of_a_volume(stored: Any, tmp_path: Path) -> None:
    mount = {"type": "volume", "source": "v", "target": "/part", "subpath": "sub/deep"}
    volume(stored)
    with pytest.raises(MiniError, match="cannot mount .*sub/deep on /part"):
        stored.container(mounts=[mount])
    os.makedirs(os.path.join(stored.paths.volume_data("v"), "sub", "deep"))
    stored.container(mounts=[mount])
    stored.exec("c", "touch", "/part/here")
    assert os.listdir(os.path.join(stored.paths.volume_data("v"), "sub", "deep")) == ["here"]
    assert not stored.container(mounts=[mount]).plan
    stored.absent("c")


def test_a_part_of_a_volume_does_not_lead_out(stored: Any, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_text("host")
    volume(stored)
    data = Path(stored.paths.volume_data("v"))
    (data / "sub").symlink_to(tmp_path / "host")
    mount = {"type": "volume", "source": "v", "target": "/part", "subpath": "sub"}
    with pytest.raises(MiniError, match="cannot mount"):
        stored.container(mounts=[mount])
    for subpath in ("../x", "/etc", "a/../../b"):
        with pytest.raises(BadInput, match="does not lie in the volume"):
            stored.container(mounts=[{**mount, "subpath": subpath}])


def test_a_part_of_a_volume_that_somebody_swaps_for_a_link(stored: Any, tmp_path: Path) -> None:
    """One container has the whole volume and renames in it while others are given a part."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "secret").write_text("host")
    swap = f"cd /all; mkdir real; while :; do mv real sub; mv sub real; ln -s {tmp_path}/host sub; rm -f sub; done"
    stored.container("attacker", volumes=["v:/all"], command=["sh", "-c", swap], stop_timeout=0)
    mount = {"type": "volume", "source": "v", "target": "/part", "subpath": "sub"}
    outcomes: set[str] = set()
    for number in itertools.count():
        if number >= 60 and len(outcomes) == 2:
            break
        assert number < 1000, outcomes
        try:
            assert stored.run(["ls", "/part"], mounts=[mount]).stdout == ""
            outcomes.add("mounted")
        except MiniError:
            outcomes.add("refused")
    stored.absent("attacker")


def test_fields_of_mounts(stored: Any, tmp_path: Path) -> None:
    mounts = [
        {"type": "bind", "source": f"{tmp_path}/new/place", "target": "/b", "create_mountpoint": True},
        {"type": "volume", "source": "v", "target": "/v", "labels": {"a": "b"}},
        {"type": "volume", "target": "/anonymous"},
    ]
    stored.container(mounts=mounts)
    assert not stored.container(mounts=mounts).plan
    assert (tmp_path / "new" / "place").is_dir()
    assert find(stored.paths, "v").spec.labels == {"a": "b"}
    assert len(names(stored)) == 2
    stored.container(state="absent", keep_volumes=False)
    assert names(stored) == ["v"]


@pytest.mark.parametrize(
    ("mount", "text"),
    [
        ({"type": "bind", "source": "v", "target": "/x"}, "not a path on the host"),
        ({"type": "volume", "source": "/v", "target": "/x"}, "not the name of a volume"),
        ({"type": "tmpfs", "source": "v", "target": "/x"}, "a tmpfs has none"),
        ({"type": "tmpfs", "target": "/x", "no_copy": True}, "no_copy of /x is for the type volume, not for tmpfs"),
        ({"type": "bind", "source": "/", "target": "/x", "subpath": "a"}, "subpath of /x is for the type volume"),
        ({"type": "volume", "target": "/x", "create_mountpoint": True}, "create_mountpoint of /x is for the type bind"),
        ({"type": "volume", "target": "/x", "propagation": "rslave"}, "propagation of /x is for the type bind"),
        ({"type": "volume", "target": "/x", "tmpfs_size": "1M"}, "tmpfs_size of /x is for the type tmpfs"),
    ],
)
def test_fields_that_do_not_belong_together(stored: Any, mount: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        stored.container(mounts=[mount])


def test_twenty_containers_fill_one_volume(stored: Any) -> None:
    task = {"image": "full", "volumes": ["v:/data"], "state": "present"}
    all_at_once(partial(stored.container, f"c{number}", **task) for number in range(20))
    _same(stored, "v")
    stored._look()
    stored.absent(*(f"c{number}" for number in range(20)))


def test_records_of_the_first_version_are_read(stored: Any) -> None:
    """They know the mounts of the specification only."""
    stored.container(volumes=["v:/data"])
    path = Path(stored.paths.container_record(stored.record().id))
    record = json.loads(path.read_text())
    for name in ("mounts", "secrets", "secret_key"):
        del record[name]
    for name in ("volumes_from", "secrets"):
        del record["spec"][name]
    for name in ("no_copy", "subpath", "create", "labels"):
        del record["spec"]["mounts"][0][name]
    path.write_text(json.dumps(record))
    assert not stored.container(volumes=["v:/data"]).plan
    with pytest.raises(Conflict, match="containers have it"):
        converge.remove(stored.paths, "v")
    stored.absent("c")


STEPS = ["reserve-name", "make-directories", "make-volume", "write-record", "write-secrets", "write-bundle", "start"]
TASK: dict[str, Any] = {
    "image": "voluminous",
    "command": "sleep 1000",
    "stop_timeout": 0,
    "volumes": ["named:/named", "/mine"],
    "secrets": [{"source": "word", "content": "canary"}],
}


def _run_and_die(host: Any, event: str, step: str, **options: Any) -> None:
    """The task in a process of its own, killed at the step."""

    def observer(seen: str, done: Any) -> None:
        if (seen, done.name) == (event, step):
            os.kill(os.getpid(), signal.SIGKILL)

    child = in_a_process(partial(host.container, observer=observer, **options))
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), f"the step {step} was never reached"


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_it_loses_no_volume_and_keeps_no_secret(stored: Any, step: str, event: str) -> None:
    _run_and_die(stored, event, step, **TASK)
    stored.container(keep_volumes=False, **TASK)
    assert stored.exec("c", "cat", "/run/secrets/word", "/data/file").stdout == b"canarycontent\n"
    assert not stored.container(**TASK).plan
    assert len(names(stored)) == 4
    stored.container(state="absent", keep_volumes=False)
    assert names(stored) == ["named"]


@pytest.mark.parametrize("event", ["begin", "done"])
@pytest.mark.parametrize("step", ["stop", "set-aside", "make-volume", "write-secrets", "start", "discard"])
def test_killed_while_it_is_replaced(stored: Any, step: str, event: str) -> None:
    stored.container(**{**TASK, "command": "sleep 999"})
    _run_and_die(stored, event, step, keep_volumes=False, **TASK)
    stored.container(keep_volumes=False, **TASK)
    assert stored.exec("c", "cat", "/run/secrets/word").stdout == b"canary"
    assert len(names(stored)) == 4
    stored.container(state="absent", keep_volumes=False)
    assert names(stored) == ["named"]


def test_killed_while_it_is_removed(stored: Any) -> None:
    for event in ("begin", "done"):
        stored.container(**TASK)
        stored.container(state="stopped")
        _run_and_die(stored, event, "remove", state="absent", keep_volumes=False)
        stored.container(state="absent", keep_volumes=False)
        assert names(stored) == ["named"]


def test_recreated_for_another_reason_it_still_has_what_others_have(stored: Any) -> None:
    stored.container("a", image="voluminous", stop_timeout=0)
    stored.container("b", volumes_from=["a"], stop_timeout=0)
    stored.container("b", command="sleep 999", stop_timeout=0)
    assert stored.exec("b", "cat", "/data/file").stdout == b"content\n"
    stored.absent("a", "b")
