# SPDX-License-Identifier: GPL-3.0-or-later
"""All images of an archive at once, under the names that they have there."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.images import export as exports
from ansible_collections.mini.containers.plugins.module_utils.glue.image import export_spec
from ansible_collections.mini.containers.plugins.module_utils.image import contents
from imagehost import Host, rootfs
from rawtar import archive, member

NAMES = ["registry.example:5000/team/db:16", "web:1", "web:stable"]


@pytest.fixture
def site(tmp_path: Path, layout: Path) -> Path:
    """An archive of two images with three names."""
    (tmp_path / "elsewhere").mkdir()
    other = Host(tmp_path / "elsewhere")
    other.image("web:1", load_path=str(layout))
    other.image(NAMES[0], src=str(other.tar))
    converge.tag(other.paths, "web:1", ("web:stable",), "overwrite")
    path = tmp_path / "site.tar"
    exports.export(other.paths, export_spec({"names": NAMES, "path": str(path)}))
    return path


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "here").mkdir()
    return Host(tmp_path / "here")


def load(host: Host, path: Path, **options: Any) -> list[str]:
    """The steps of the task, which check mode told before, and which are none the second time."""
    before = storefiles.kept(host.paths.state_root)
    told = converge.load(host.paths, str(path), check=True)
    assert storefiles.kept(host.paths.state_root) == before
    done = converge.load(host.paths, str(path), **options)
    assert told.plan.describe() == done.plan.describe()
    assert sorted({name for image in done.images for name in image["RepoTags"]} & set(done.names)) == list(done.names)
    assert not converge.load(host.paths, str(path)).plan
    storefiles.fsck(host.paths.state_root)
    return [step.name for step in done.plan]


def test_life(host: Host, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(host, site) == ["load-all"]
    assert sorted(name for image in host.store.images() for name in image.references) == NAMES
    with monkeypatch.context() as patched:
        patched.setattr(contents, "names", None)  # it is not read again
        assert load(host, site) == []
    os.utime(site, (1, 1))
    assert load(host, site) == []
    host.image("web:stable", "absent")
    host.image("web:1", src=str(host.tar))
    (step, _sweep) = converge.load(host.paths, str(site), check=True).plan
    assert step.reason == "web:1, web:stable"
    assert load(host, site) == ["load-all", "sweep"]


def test_other_content(host: Host, site: Path, tmp_path: Path) -> None:
    load(host, site)
    old = host.find("web:1").id
    other = Host(tmp_path / "elsewhere")
    other.tar.write_bytes(rootfs(b"new"))
    other.image("web:1", src=str(other.tar))
    exports.export(other.paths, export_spec({"names": ["web:1"], "path": str(site)}))
    assert load(host, site) == ["load-all", "sweep"]
    assert host.find("web:1").id == other.find("web:1").id != old
    assert host.find("web:stable").id == old


@pytest.mark.parametrize("kind", ["gzip", "layout", "docker-archive"])
def test_other_forms(host: Host, site: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    names = NAMES
    if kind == "gzip":
        path.write_bytes(gzip.compress(site.read_bytes()))
    elif kind == "layout":
        shutil.unpack_archive(site, path, "tar")
    else:
        tag = ["--additional-tag", "docker.io/library/web:more"]
        subprocess.run(
            ["skopeo", "copy", "-q", *tag, f"oci-archive:{site}:web:1", f"docker-archive:{path}:web:1"], check=True
        )
        names = ["web:1", "web:more"]
    assert load(host, path) == ["load-all"]
    assert sorted(name for image in host.store.images() for name in image.references) == names


def test_a_failure_gives_the_names_back(host: Host, site: Path) -> None:
    host.image("web:1", src=str(host.tar))
    before = host.find("web:1")

    def refuse(event: str, step: Step) -> None:
        if (event, step.name) == ("done", "load-all"):
            raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="No space left"):
        converge.load(host.paths, str(site), observer=refuse)
    assert [image.references for image in host.store.images()] == [("web:1",)]
    assert host.find("web:1") == before
    storefiles.fsck(host.paths.state_root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(member("x", data=b"x")), "is not an archive of images"),
        (archive(member("manifest.json", data=b"[]")), "no image with a name"),
        (archive(member("manifest.json", data=b'[{"Config": "c", "RepoTags": null, "Layers": []}]')), "with a name"),
        (archive(member("manifest.json", data=b'[{"Config": "c", "RepoTags": ["../x"]}]')), "which is no name"),
        (archive(member("manifest.json", data=b'[{"Config": "c", "RepoTags": ["x:1"]}]')), "has no file 'c'"),
        (archive(member("manifest.json", data=b"{")), "is not valid JSON"),
        (archive(member("../manifest.json", data=b"[]")), "leads outside"),
    ],
)
def test_archives_of_nothing(host: Host, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=message):
        converge.load(host.paths, str(path))
    assert host.store.images() == []


def test_nothing_there(host: Host) -> None:
    with pytest.raises(NotFound):
        converge.load(host.paths, "/nowhere")
    told = converge.load(host.paths, "/nowhere", check=True)
    assert ([step.name for step in told.plan], told.warnings) == (["load-all"], ("there is no /nowhere",))


def test_podman_takes_them_and_gives_them_back(host: Host, tmp_path: Path) -> None:
    assert shutil.which("podman"), "install podman: what it writes has to be read"
    names = ["localhost/db:1", "localhost/web:1"]
    for name in names:
        host.image(name, src=str(host.tar), command=name)
    ids = [host.find(name).id for name in names]
    archive_path = tmp_path / "ours.tar"
    exports.export(host.paths, export_spec({"names": names, "path": str(archive_path)}))
    with tempfile.TemporaryDirectory(prefix="mini-", dir="/tmp") as short:  # podman takes no longer name
        places = [f"--root={short}/p", f"--runroot={short}/r", "--storage-driver=vfs"]
        for arguments in (["load", "-i", archive_path], ["save", "-m", "-o", tmp_path / "theirs.tar", *names]):
            subprocess.run(["podman", *places, *arguments], check=True, capture_output=True)
    (tmp_path / "again").mkdir()
    other = Host(tmp_path / "again")
    assert load(other, tmp_path / "theirs.tar") == ["load-all"]
    assert [other.find(name).id for name in names] == ids
