# SPDX-License-Identifier: GPL-3.0-or-later
"""Images out of archives and layouts: those that others write, and those that nobody should."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, BadInput, MiniError, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore, StoredImage
from rawtar import archive, member, pax


class Host:
    """A state root of its own."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)

    def image(self, name: str = "web:1", **options: Any) -> converge.Outcome:
        """What the task does."""
        extra = {key: options.pop(key) for key in ("check",) if key in options}
        return converge.ensure(self.paths, image_spec({"name": name, **options}), **extra)

    def actions(self, name: str = "web:1", **options: Any) -> list[str]:
        """The steps of a task."""
        return [step.name for step in self.image(name, **options).plan]

    def find(self, name: str = "web:1") -> StoredImage:
        """The image."""
        found = self.store.find(name)
        assert found is not None
        return found

    def content(self, name: str = "web:1") -> list[Any]:
        """What is in each layer."""
        return [
            (str(path.relative_to(root)), path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for root in map(Path, self.store.layer_dirs(self.find(name)))
            for path in sorted(root.rglob("*"))
        ]

    def kept(self) -> list[str]:
        """Every file but the two that a layout consists of."""
        return storefiles.kept(self.paths.state_root)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def copy(source: str, target: str) -> None:
    subprocess.run(["skopeo", "copy", "-q", source, target], check=True)


@pytest.fixture
def expected(tmp_path: Path, layout: Path) -> tuple[str, list[Any]]:
    """The id of the image that umoci made, and its content as it is when loaded from the layout."""
    other = Host(tmp_path / "other")
    other.image(load_path=str(layout))
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads((layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    return manifest["config"]["digest"], other.content()


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("compress", ["", "gzip", "xz", "zstd", "bzip2"])
def test_what_skopeo_writes(
    host: Host, tmp_path: Path, layout: Path, expected: tuple[str, list[Any]], kind: str, compress: str
) -> None:
    path = tmp_path / "image.tar"
    copy(f"oci:{layout}:1", f"{kind}:{path}:team/web:1")
    if compress:
        raw = subprocess.run([compress, "-c", path], check=True, capture_output=True).stdout
        path.write_bytes(raw)
    assert host.actions(load_path=str(path), check=True) == ["load"]
    assert host.kept() == []
    assert host.actions(load_path=str(path)) == ["load"]
    assert (host.find().id, host.content()) == expected
    assert host.actions(load_path=str(path)) == []
    os.utime(path)
    assert host.actions(load_path=str(path)) == []
    assert host.actions() == []
    assert not os.listdir(os.path.join(host.paths.layers, "tmp"))


def test_a_layout(host: Host, layout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "layout"
    shutil.copytree(layout, mine)
    assert host.actions(load_path=str(mine), check=True) == ["load"]
    assert host.actions(load_path=str(mine), source="layout") == ["load"]
    assert host.actions(load_path=str(mine)) == []
    named = json.loads((mine / "index.json").read_text())["manifests"][0]["digest"]
    assert host.find().manifest_digest == named
    subprocess.run(["umoci", "config", "--image", f"{mine}:1", "--config.user", "7"], check=True)
    assert host.actions(load_path=str(mine), env={"A": "1"}) == ["load", "sweep"]
    assert host.actions(load_path=str(mine), env={"A": "1"}) == []
    assert (host.find().config.user, host.find().config.env["A"]) == ("7", "1")


def test_round_trip(host: Host, layout: Path, tmp_path: Path) -> None:
    host.image(load_path=str(layout), archive_path=str(tmp_path / "out.tar"))
    other = Host(tmp_path / "other")
    assert other.actions(load_path=str(tmp_path / "out.tar"), archive_path=str(tmp_path / "again.tar")) == [
        "load",
        "export",
    ]
    assert other.find().manifest_digest == host.find().manifest_digest
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "out.tar").read_bytes()


def test_several_in_one(host: Host, layout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "layout"
    shutil.copytree(layout, mine)
    subprocess.run(["umoci", "config", "--image", f"{mine}:1", "--tag", "2", "--config.user", "2"], check=True)
    subprocess.run(["tar", "-C", mine, "-cf", tmp_path / "two.tar", "."], check=True)
    for path in (mine, tmp_path / "two.tar"):
        for number, user in (("1", ""), ("2", "2")):
            name = f"{path.stem}:{number}"
            assert host.actions(name, load_path=str(path)) == ["load"]
            assert host.find(name).config.user == user
        with pytest.raises(NotFound, match="none of its own called web:3; give one of these as name: 1, 2"):
            host.image("web:3", load_path=str(path))


class Saved:
    """What `docker save` writes, to be changed before it is written."""

    def __init__(self, *layers: bytes) -> None:
        self.layers = layers or (tar("hello"),)
        self.config: dict[str, Any] = {
            "os": "linux",
            "architecture": platform.host().architecture,
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(raw).hexdigest() for raw in self.layers],
            },
        }
        names = [f"{number}/layer.tar" for number in range(len(self.layers))]
        self.entry: dict[str, Any] = {"Config": "config.json", "RepoTags": ["team/web:1"], "Layers": names}
        self.members = {name: member(name, data=raw) for name, raw in zip(names, self.layers)}

    def write(self, path: Path, *more: bytes, entries: Any = None) -> str:
        """The archive; its path."""
        config = member("config.json", data=json.dumps(self.config).encode())
        listed = member("manifest.json", data=json.dumps([self.entry] if entries is None else entries).encode())
        path.write_bytes(archive(*self.members.values(), *more, config, listed))
        return str(path)


def digest(raw: bytes) -> str:
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def tar(name: str) -> bytes:
    return archive(member(name, data=b"hello"))


def test_links_of_older_dockers(host: Host, tmp_path: Path) -> None:
    saved = Saved(tar("a"), tar("b"), tar("a"))
    saved.members["2/layer.tar"] = member("2/layer.tar", b"2", link="../0/layer.tar")
    assert host.actions(load_path=saved.write(tmp_path / "x.tar")) == ["load"]
    assert [name for name, _mode, _data in host.content()] == ["a", "b", "a"]


@pytest.mark.parametrize("left", [0, 512])
def test_layers_without_an_end_mark(host: Host, tmp_path: Path, left: int) -> None:
    whole = archive(member("a", data=b"x" * 512), member("b/", b"5"))
    assert host.actions(load_path=Saved(whole[: left - 1024]).write(tmp_path / "x.tar")) == ["load"]
    assert [name for name, _mode, _data in host.content()] == ["a", "b"]
    for cut in (600, 512 + 1024 - 1, len(whole) - 1030):
        saved = Saved(whole[:cut])
        with pytest.raises(BadImage):
            host.image("cut:1", load_path=saved.write(tmp_path / "x.tar"))


def test_what_umoci_inserts(host: Host, layout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "layout"
    shutil.copytree(layout, mine)
    subprocess.run(["umoci", "insert", "--image", f"{mine}:1", "/bin/busybox", "/added"], check=True)
    assert host.actions(load_path=str(mine)) == ["load"]
    assert "added" in [name for name, _mode, _data in host.content()]


def test_names_in_a_saved_archive(host: Host, tmp_path: Path) -> None:
    saved = Saved()
    second = {**saved.entry, "RepoTags": ["docker.io/library/other:2", "../../x", "x:y:z"]}
    path = saved.write(tmp_path / "x.tar", entries=[saved.entry, second])
    assert host.actions("other:2", load_path=path) == ["load"]
    assert host.actions("team/web:1", load_path=path) == ["load"]
    with pytest.raises(NotFound, match="give one of these as name: .*team/web:1"):
        host.image("web:1", load_path=path)
    assert sorted(name for image in host.store.images() for name in image.references) == ["other:2", "team/web:1"]


def changed(**entry: Any) -> Callable[[Saved], tuple[bytes, ...]]:
    """Another entry in `manifest.json`."""

    def change(saved: Saved) -> tuple[bytes, ...]:
        saved.entry.update(entry)
        return ()

    return change


def replaced(name: str, *members: bytes) -> Callable[[Saved], tuple[bytes, ...]]:
    """Other members for one."""

    def change(saved: Saved) -> tuple[bytes, ...]:
        saved.members[name] = b"".join(members)
        return ()

    return change


def configured(**config: Any) -> Callable[[Saved], tuple[bytes, ...]]:
    def change(saved: Saved) -> tuple[bytes, ...]:
        saved.config.update(config)
        return ()

    return change


LAYER = "0/layer.tar"
SPARSE: dict[str, str | bytes] = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9", "GNU.sparse.name": LAYER}
TWO = ["sha256:" + "0" * 64] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(Layers=["../../../etc/shadow"]), "leads outside"),
        (changed(Layers=["/etc/shadow"]), "has no file"),
        (changed(Config="/etc/passwd"), "has no file"),
        (changed(Config=7), "Config cannot be 7"),
        (changed(Layers=["0/layer.tar", "0/layer.tar"]), "1 layers, its manifest 2"),
        (changed(Layers=[]), "1 layers, its manifest 0"),
        (changed(Layers=["config.json"]), "."),
        (changed(Layers="0/layer.tar"), "Layers cannot be"),
        (replaced(LAYER, member(LAYER, b"2", link="/etc/shadow")), "has no file"),
        (replaced(LAYER, member(LAYER, b"2", link="../../../etc/shadow")), "leads outside"),
        (replaced(LAYER, member(LAYER, b"1", link="/etc/shadow")), "has no file"),
        (replaced(LAYER, member(LAYER, b"2", link="layer.tar")), "has no file"),
        (replaced(LAYER, member(LAYER, b"3", major=1, minor=5)), "has no file"),
        (replaced(LAYER, member(LAYER, b"6")), "has no file"),
        (replaced(LAYER, member(LAYER, data=tar("x"))), "a layer's content is"),
        (replaced(LAYER, member(LAYER, data=b"")), "archive is empty"),
        (replaced(LAYER, member(LAYER, data=b"\xfd7zXZ\0 and so on")), "compressed with xz"),
        (replaced(LAYER, member(LAYER, data=tar("x")), member(LAYER, data=tar("hello"))), "twice"),
        (replaced(LAYER, member("./0//layer.tar", data=tar("x")), member(LAYER, data=tar("hello"))), "twice"),
        (replaced(LAYER, member("../layer.tar", data=tar("x"))), "leads outside"),
        (
            replaced(
                LAYER,
                pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": "9", "GNU.sparse.name": LAYER})
                + member("x", data=b"x"),
            ),
            "sparse",
        ),
        (configured(os="windows"), "is for 'windows'"),
        (configured(rootfs={"type": "layers", "diff_ids": TWO}), "2 layers, its manifest 1"),
        (configured(rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}), "digest cannot be"),
        (configured(rootfs={}), "not made of layers"),
        (configured(filler="x" * (4 * 2**20)), "larger than 4 MiB"),
    ],
)
def test_saved_archives_that_nobody_should_write(
    host: Host, tmp_path: Path, change: Callable[[Saved], tuple[bytes, ...]], message: str
) -> None:
    saved = Saved()
    more = change(saved)
    with pytest.raises(BadImage, match=message):
        host.image(load_path=saved.write(tmp_path / "x.tar", *more))
    assert host.kept() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x" * 600, "."),
        (archive(), "is not an archive of images; give the tar of a root file system as src"),
        (tar("bin/sh"), "is not an archive of images"),
        (archive(member("manifest.json", data=b"{}")), "."),
        (archive(member("manifest.json", data=b'[],"images":[]')), "twice"),
        (archive(member("manifest.json", data=b"[" * 10**5)), "not valid JSON"),
        (archive(member("manifest.json", b"2", link="manifest.json")), "is not an archive"),
        (archive(member("oci-layout", data=b"{}"), member("index.json", data=b'{"manifests":[]}')), "none of its own"),
        (member("manifest.json", data=b"[]"), "cut short"),
    ],
)
def test_archives_of_nothing(host: Host, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(MiniError, match=message):
        host.image(load_path=str(tmp_path / "x.tar"))
    assert host.kept() == []


def damage(path: Path, how: str) -> None:
    if how == "bytes":
        path.write_bytes(bytes(path.stat().st_size))
    elif how == "short":
        path.write_bytes(path.read_bytes()[:-2])  # the last may be a line's end
    elif how == "long":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        original = path.read_bytes()
        path.unlink()
        if how == "link":
            path.with_name("elsewhere").write_bytes(original)
            path.symlink_to("elsewhere")
        elif how == "pipe":
            os.mkfifo(path)


@pytest.mark.parametrize("which", ["index", "manifest", "config", "layer"])
@pytest.mark.parametrize("how", ["bytes", "short", "long", "link", "pipe", "none"])
def test_a_damaged_layout(host: Host, layout: Path, tmp_path: Path, which: str, how: str) -> None:
    mine = tmp_path / "layout"
    shutil.copytree(layout, mine)
    blobs = mine / "blobs/sha256"
    manifest = blobs / json.loads((mine / "index.json").read_text())["manifests"][0]["digest"][7:]
    parts = json.loads(manifest.read_text())
    paths = {
        "index": mine / "index.json",
        "manifest": manifest,
        "config": blobs / parts["config"]["digest"][7:],
        "layer": blobs / parts["layers"][0]["digest"][7:],
    }
    damage(paths[which], how)
    with pytest.raises(MiniError):
        host.image(load_path=str(mine))
    assert host.kept() == []
    with tarfile.open(tmp_path / "x.tar", "w") as packed:
        packed.add(mine, ".")
    if not (how == "link" or (how, which) == ("none", "index")):
        with pytest.raises(MiniError):
            host.image(load_path=str(tmp_path / "x.tar"))
        assert host.kept() == []


def test_what_is_no_source(host: Host, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="neither a tar file nor a directory"):
        host.image(load_path=str(tmp_path / "pipe"))
    with pytest.raises(NotFound, match="load_path: .* cannot be read"):
        host.image(load_path="/nowhere.tar")
    with pytest.raises(BadImage, match="is not an OCI image layout"):
        host.image(load_path=str(tmp_path))
    outcome = host.image(load_path="/nowhere.tar", check=True)
    assert [step.name for step in outcome.plan] == ["load"]
    assert outcome.warnings == ("there is no /nowhere.tar",)


def test_a_failed_load_leaves_what_the_name_meant(host: Host, tmp_path: Path) -> None:
    host.image(load_path=Saved().write(tmp_path / "x.tar"))
    before = host.find()
    broken = Saved(tar("new"))
    broken.config["rootfs"]["diff_ids"] = TWO[:1]
    with pytest.raises(BadImage):
        host.image(load_path=broken.write(tmp_path / "x.tar"))
    assert host.find() == before
    assert host.content()
