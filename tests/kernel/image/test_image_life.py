# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from the first import to the last name, as tasks make them."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, Conflict, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step, silent
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import Mount
from ansible_collections.mini.containers.plugins.module_utils.engine.images import source
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from imagehost import Host, rootfs

from ..waiting import eventually


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def snapshot(root: Path) -> list[Any]:
    """A tree, but for access times."""
    found = [(str(path.relative_to(root)), path.lstat()) for path in sorted(root.rglob("*"))]
    return [(name, item.st_mode, item.st_size, item.st_mtime_ns) for name, item in found]


def test_life(host: Host) -> None:
    options = {"src": str(host.tar), "command": "sh -c ls", "env": {"A": "1"}}
    before = snapshot(host.directory)
    assert [step.name for step in host.image(**options, check=True).plan] == ["import"]
    assert snapshot(host.directory) == before
    outcome = host.image(**options)
    assert outcome.image is not None
    assert outcome.image["Config"]["Cmd"] == ["sh", "-c", "ls"]
    assert outcome.image["RepoTags"] == ["web:latest"]
    before = snapshot(host.directory)
    assert host.actions(**options) == []
    assert snapshot(host.directory) == before
    root = Path(outcome.image["GraphDriver"]["Data"]["LowerDir"])
    inode = root.stat().st_ino
    assert host.actions(**{**options, "command": ["ls"]}) == ["configure", "sweep"]
    assert host.actions(**{**options, "command": ["ls"]}) == []
    assert root.stat().st_ino == inode
    assert host.actions(state="absent") == ["untag", "sweep"]
    assert host.actions(state="absent") == []
    assert host.kept() == []


def test_the_unpacked_tree(host: Host) -> None:
    host.image(src=str(host.tar))
    (root,) = map(Path, host.store.layer_dirs(host.find()))
    assert os.readlink(root / "bin/sh") == "busybox"
    assert (root / "bin/ls").stat().st_ino == (root / "bin/busybox").stat().st_ino
    assert stat.S_IMODE((root / "tmp").stat().st_mode) == 0o1777
    assert ((root / "bin").stat().st_mtime, (root / "etc").stat().st_mtime) == (1000, 1000)
    found = (root / "etc" / ("long" * 40)).stat()
    assert (found.st_uid, found.st_gid, found.st_mtime) == (1000, 2**20, 1700000000.5)
    assert subprocess.run([root / "bin/busybox", "true"], check=False).returncode == 0
    assert stat.S_IMODE(os.stat(host.paths.layers).st_mode) == 0o700


def test_the_same_content_is_the_same_image(host: Host, tmp_path: Path) -> None:
    ids = set()
    for number, compress in enumerate(
        (bytes, lambda data: gzip.compress(data, 1), lambda data: gzip.compress(data, 9))
    ):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(compress(rootfs()))
        outcome = host.image(f"web:{number}", src=str(path), command="ls")
        assert outcome.image is not None
        ids.add(outcome.image["Id"])
    assert len(ids) == 1
    assert host.find("web:0").references == ("web:0", "web:1", "web:2")
    assert host.store.find(ids.copy().pop()[7:19]) == host.find("web:1")
    for number in range(3):
        assert host.image(f"web:{number}", state="absent").plan
    assert host.kept() == []


def test_a_file_is_read_again_only_when_it_may_have_changed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.image(src=str(host.tar))
    os.utime(host.tar)
    assert host.actions(src=str(host.tar)) == []
    read: list[str] = []
    host.image(state="absent")
    host.image(src=str(host.tar))
    monkeypatch.setattr(source, "file_digest", read.append)
    assert host.actions(src=str(host.tar)) == []
    assert read == []
    host.tar.write_bytes(rootfs(b"new"))
    monkeypatch.undo()
    assert host.actions(src=str(host.tar)) == ["import", "sweep"]
    assert host.actions(src=str(host.tar)) == []
    assert len(os.listdir(host.paths.layers)) == 2  # one layer, and the place for unfinished ones


def test_a_directory(host: Host, tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root.mkdir()
    subprocess.run(["tar", "-x", "-C", root], input=rootfs(), check=True)
    os.mkfifo(root / "pipe")
    os.setxattr(root / "bin", "user.note", b"x")
    assert host.actions(src=str(root)) == ["import"]
    first = host.find().id
    (unpacked,) = map(Path, host.store.layer_dirs(host.find()))
    assert [line for line in _listing(unpacked) if line not in _listing(root)] == []
    assert len(_listing(unpacked)) == len(_listing(root))
    assert host.actions(src=str(root)) == []
    (root / "etc/passwd").write_text("changed")
    assert host.actions(src=str(root)) == ["import", "sweep"]
    assert host.find().id != first
    (root / "etc/.wh.x").write_text("")
    with pytest.raises(Exception, match=r"etc/\.wh\.x cannot be in an image"):
        host.image(src=str(root))


def _listing(root: Path) -> list[Any]:
    found = []
    for path in sorted(root.rglob("*")):
        item = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        names = [] if path.is_symlink() else os.listxattr(path)
        found.append(
            (str(path.relative_to(root)), item.st_mode, item.st_uid, item.st_gid, int(item.st_mtime), content, names)
        )
    return found


def test_an_image_in_use_is_not_removed(host: Host) -> None:
    host.image(src=str(host.tar))
    image = host.find()
    record = host.container(image)
    with pytest.raises(Conflict, match="the container c stands on it"):
        host.image(state="absent")
    assert host.find() == image
    assert host.actions(state="absent", force=True) == ["untag", "sweep"]
    assert host.store.find("web") is None
    assert os.path.isdir(host.store.layer_dirs(image)[0])
    assert host.store.find(image.id) is not None
    host.remove_container(record)
    host.image("other", src=str(host.tar))
    host.image("other", state="absent")
    assert host.kept() == []


def test_a_replaced_image_stays_while_it_is_used(host: Host) -> None:
    host.image(src=str(host.tar))
    image = host.find()
    record = host.container(image)
    host.tar.write_bytes(rootfs(b"new"))
    host.image(src=str(host.tar))
    assert os.path.isdir(host.store.layer_dirs(image)[0])
    host.remove_container(record)
    assert host.actions(command="x") == ["configure", "sweep"]
    assert not os.path.exists(host.store.layer_dirs(image)[0])


def test_nothing_goes_while_a_container_cannot_be_read(host: Host) -> None:
    host.image(src=str(host.tar))
    image = host.find()
    record = host.container(image)
    Path(host.paths.container_record(record.id)).write_text("{")
    host.image(state="absent")
    assert os.path.isdir(host.store.layer_dirs(image)[0])


def test_commit(host: Host, tmp_path: Path) -> None:
    host.image("base", src=str(host.tar), command="sh", env={"A": "1"}, volumes=["/data"])
    mounts = (Mount("/vol/logs", "logs", kind="volume"),)
    record = host.container(host.find("base"), mounts=mounts, env={"B": "2"})
    upper = Path(host.paths.container(record.id, "upper"))
    (upper / "new").write_text("new")
    (upper / "etc").mkdir()
    os.mknod(upper / "etc/passwd", stat.S_IFCHR, os.makedev(0, 0))
    (upper / "tmp").mkdir(mode=0o700)
    os.setxattr(upper / "tmp", "trusted.overlay.opaque", b"y")
    for name in ("proc/x", "dev/y", "sys/z", "vol/logs/secret", "data/secret", "etc/hosts", "etc/resolv.conf"):
        (upper / name).parent.mkdir(parents=True, exist_ok=True)
        (upper / name).write_text("not ours")
    assert host.actions("made", from_container="c", labels={"x": "y"}) == ["commit"]
    assert host.actions("made", from_container="c", labels={"x": "y"}) == []
    made = host.find("made")
    assert made.layers[:-1] == host.find("base").layers
    assert (made.config.command, made.config.env, made.config.labels) == (("sh",), {"A": "1", "B": "2"}, {"x": "y"})
    layer = Path(host.store.layer_dirs(made)[-1])
    names = sorted(str(path.relative_to(layer)) for path in layer.rglob("*"))
    assert names == ["etc", "etc/passwd", "new", "tmp", "vol"]
    assert (layer / "etc/passwd").stat().st_rdev == 0
    assert os.getxattr(layer / "tmp", "trusted.overlay.opaque") == b"y"
    (upper / "new").write_text("newer")
    assert host.actions("made", from_container="c", labels={"x": "y"}) == ["commit", "sweep"]
    with pytest.raises(NotFound, match="there is no container 'none'"):
        host.image("made", from_container="none")


def test_a_container_that_changes_its_tree_meanwhile_shows_nothing_of_the_host(host: Host, tmp_path: Path) -> None:
    host.image("base", src=str(host.tar))
    upper = Path(host.paths.container(host.container(host.find("base")).id, "upper"))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "shadow").write_text("the host's")
    (upper / "a").mkdir()
    (upper / "a" / "shadow").write_text("its own")
    os.symlink(tmp_path / "secret", upper / "b")
    child = os.fork()
    if not child:
        try:
            while True:  # a directory and a link to the host's change places
                for one, other in (("a", "c"), ("b", "a"), ("a", "b"), ("c", "a")):
                    os.rename(upper / one, upper / other)
        finally:
            os._exit(1)
    try:
        for number in range(30):
            host.image(f"made:{number}", from_container="c")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    blobs = Path(host.paths.image_layout, "blobs", "sha256")
    assert not any(b"the host's" in path.read_bytes() for path in blobs.iterdir())


def test_export(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "out.tar"
    options = {"src": str(host.tar), "archive_path": str(target)}
    assert host.actions(**options) == ["import", "export"]
    first = target.read_bytes()
    assert host.actions(**options) == []
    target.unlink()
    assert host.actions(**options) == ["export"]
    assert target.read_bytes() == first
    target.write_bytes(first[:-512])
    assert host.actions(**options) == ["export"]
    assert host.actions(**options, command="ls") == ["configure", "export", "sweep"]
    assert host.actions(**options, command="ls") == []
    with tarfile.open(target) as opened:
        names = opened.getnames()
    assert names[:5] == ["blobs", "blobs/sha256", "oci-layout", "index.json", "manifest.json"]
    assert len(names) == 8


def test_a_failed_export_takes_the_image_back(host: Host) -> None:
    with pytest.raises(Exception, match="cannot export /nowhere/out.tar"):
        host.image(src=str(host.tar), archive_path="/nowhere/out.tar")
    assert host.store.find("web") is None
    assert host.kept() == []


def test_an_archive_of_images_is_no_root_file_system(host: Host, tmp_path: Path) -> None:
    host.image(src=str(host.tar), archive_path=str(tmp_path / "out.tar"))
    with pytest.raises(BadImage, match="docker export makes, not docker save"):
        host.image("again", src=str(tmp_path / "out.tar"))


def test_lost_layers_are_unpacked_again(host: Host) -> None:
    host.image(src=str(host.tar))
    (root,) = host.store.layer_dirs(host.find())
    before = _listing(Path(root))
    shutil.rmtree(root)
    assert host.actions() == ["unpack"]
    assert _listing(Path(root)) == before
    assert host.actions(src=str(host.tar)) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b"x" * 300])
def test_a_damaged_image_is_imported_again(host: Host, damage: bytes) -> None:
    host.image(src=str(host.tar))
    Path(host.store.layout.blob(host.find().id)).write_bytes(damage)
    with pytest.raises(BadImage, match="damaged"):
        host.store.find("web")
    assert host.store.images() == []
    assert host.actions(src=str(host.tar)) == ["import"]
    assert host.actions(src=str(host.tar)) == []
    host.image(state="absent")
    assert host.kept() == []


@pytest.mark.parametrize("what", ["link", "pipe", "device"])
def test_a_layout_of_other_things_than_files(host: Host, what: str) -> None:
    host.image(src=str(host.tar))
    path = host.store.layout.blob(host.find().id)
    os.unlink(path)
    if what == "link":
        os.symlink("/etc/passwd", path)
    else:
        os.mknod(path, stat.S_IFIFO if what == "pipe" else stat.S_IFCHR, os.makedev(1, 5))
    with pytest.raises(BadImage):
        host.store.find("web")


@pytest.mark.parametrize("step", ["import", "export", "sweep"])
@pytest.mark.parametrize("event", ["begin", "done"])
def test_killed_at_each_step(host: Host, tmp_path: Path, step: str, event: str) -> None:
    options = {"src": str(host.tar), "archive_path": str(tmp_path / "out.tar")}
    host.image(**options)
    host.tar.write_bytes(rootfs(b"new"))
    _killed(host, options, lambda now, at: (now, at.name) == (event, step))
    host.image(**options)
    assert host.actions(**options) == []
    host.image(state="absent")
    assert host.kept() == []


def test_killed_in_the_middle_of_unpacking(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = host.directory / "slow.tar"
    pipe.write_bytes(rootfs())
    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(
                "ansible_collections.mini.containers.plugins.module_utils.engine.images.actions.take_in", _hang
            )
            host.image(src=str(pipe))
        finally:
            os._exit(1)
    unfinished = Path(host.paths.layers, "tmp")
    eventually(lambda: list(unfinished.glob("*/root*/etc/passwd")))
    assert host.actions("other", src=str(host.tar)) == ["import"]  # a live one's place is let alone
    assert list(unfinished.glob("*/root*/etc/passwd"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert host.actions("other", src=str(host.tar)) == ["sweep"]
    assert host.actions("other", src=str(host.tar)) == []
    host.image("other", state="absent")
    assert host.kept() == []


def _hang(*arguments: Any, **options: Any) -> Any:
    take_in(*arguments, **options)
    time.sleep(1000)


def _killed(host: Host, options: dict[str, Any], when: Any) -> None:
    def observer(event: str, step: Step) -> None:
        if when(event, step):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            host.image(**options, observer=observer)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_many_at_once(host: Host) -> None:
    children = []
    for number in range(16):
        child = os.fork()
        if not child:
            try:
                host.image(f"web:{number}", src=str(host.tar), command=f"run {number % 4}", observer=silent)
                if number % 2:
                    host.image(f"web:{number}", state="absent")
            except BaseException as exc:
                os.write(2, f"{exc!r}\n".encode())
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 16
    images = host.store.images()
    assert sorted(name for image in images for name in image.references) == sorted(f"web:{n}" for n in range(0, 16, 2))
    assert {image.layers for image in images} == {images[0].layers}
    assert host.store.missing_layers(images[0]) == []
    for number in range(0, 16, 2):
        host.image(f"web:{number}", state="absent")
    assert host.kept() == []


@pytest.fixture
def second_opinion() -> None:
    """The tools of others; a machine without them fails with their names."""
    missing = [name for name in ("skopeo", "umoci") if shutil.which(name) is None]
    assert not missing, f"install {', '.join(missing)}: others must be able to read the store"


needs = pytest.mark.usefixtures("second_opinion")


@needs
def test_others_read_the_store(host: Host, tmp_path: Path) -> None:
    host.image("base:1", src=str(host.tar), command="sh")
    record = host.container(host.find("base:1"))
    upper = Path(host.paths.container(record.id, "upper"))
    (upper / "etc").mkdir()
    os.mknod(upper / "etc/passwd", stat.S_IFCHR, os.makedev(0, 0))
    (upper / "etc/new").write_text("new")
    host.image("made:1", from_container="c", archive_path=str(tmp_path / "made.tar"))
    layout = host.paths.image_layout
    for name in ("base:1", "made:1"):
        subprocess.run(["umoci", "unpack", "--image", f"{layout}:{name}", tmp_path / f"by-{name}"], check=True)
        subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}:{name}", f"dir:{tmp_path}/copy-{name}"], check=True)
    (ours,) = host.store.layer_dirs(host.find("base:1"))
    assert _listing(Path(ours)) == _listing(tmp_path / "by-base:1" / "rootfs")
    theirs = {row[0] for row in _listing(tmp_path / "by-made:1" / "rootfs")}
    assert "etc/new" in theirs
    assert "etc/passwd" not in theirs
    for kind in ("oci-archive", "docker-archive"):
        subprocess.run(["skopeo", "copy", "-q", f"{kind}:{tmp_path}/made.tar", f"dir:{tmp_path}/{kind}"], check=True)


@needs
def test_what_others_write_into_the_store_is_read(host: Host, tmp_path: Path) -> None:
    host.image("base:1", src=str(host.tar), command="sh")
    layout = host.paths.image_layout
    subprocess.run(
        ["skopeo", "copy", "-q", "--dest-compress-format", "gzip", f"oci:{layout}:base:1", f"oci:{layout}:copied:1"],
        check=True,
    )
    copied = host.find("copied:1")
    assert replace(copied.config) == host.find("base:1").config
    assert host.actions("copied:1") in ([], ["unpack"])
    assert host.actions("copied:1") == []
