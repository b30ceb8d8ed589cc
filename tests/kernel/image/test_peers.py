# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that go from one engine to the other: what theirs write we load and run, what ours write they load."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore

from ..oci.clients import Client, Docker, Podman

NEEDED = ("docker", "dockerd", "podman", "buildah", "skopeo", "umoci")
pytestmark = pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}")


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A directory with a short name: there are sockets in it."""
    directory = Path(tempfile.mkdtemp(prefix="mini-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def docker(short: Path) -> Iterator[Docker]:
    found = Docker(short)
    yield found
    found.end()


@pytest.fixture(scope="module")
def podman(short: Path) -> Podman:
    return Podman(short / "podman")


@pytest.fixture(scope="module")
def buildah(short: Path) -> Client:
    store = short / "buildah"
    return Client(["buildah", "--root", f"{store}/root", "--runroot", f"{store}/run", "--storage-driver", "vfs"])


@pytest.fixture
def archive(host: Any, layout: Path, tmp_path: Path) -> Path:
    """umoci's image, through our store."""
    ensure(host, "web:1", load_path=str(layout), archive_path=str(tmp_path / "web.tar"))
    return tmp_path / "web.tar"


def ensure(host: Any, name: str, **options: Any) -> str:
    """What the task does; the image's id."""
    converge.ensure(host.paths, image_spec({"name": name, **options}))
    return ImageStore(host.paths).resolve(name).id


def runs(host: Any, name: str) -> None:
    """The image's file is there, the other one is not."""
    done = host.run(["/bin/busybox", "cat", "/new"], image=name)
    assert (done.rc, done.stdout) == (0, "new")
    assert host.run(["/bin/busybox", "test", "-e", "/gone"], image=name).rc == 1


def test_docker(host: Any, docker: Docker, archive: Path, tmp_path: Path) -> None:
    ours = ensure(host, "web:1")
    docker.ok("load", "--input", str(archive))
    assert docker.ok("inspect", "--format", "{{.Id}}", "web:1").strip() == ours
    docker.ok("save", "--output", str(tmp_path / "saved.tar"), "web:1")
    assert ensure(host, "saved:1", load_path=str(tmp_path / "saved.tar")) == ours
    runs(host, "saved:1")
    container = docker.ok("create", "web:1").strip()
    docker.ok("export", "--output", str(tmp_path / "exported.tar"), container)
    docker.ok("rm", container)
    ensure(host, "exported:1", src=str(tmp_path / "exported.tar"))
    runs(host, "exported:1")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_podman(host: Any, podman: Podman, archive: Path, tmp_path: Path, form: str) -> None:
    podman.ok("load", "--input", str(archive))
    ours = ensure(host, "web:1")
    assert "sha256:" + podman.ok("inspect", "--format", "{{.Id}}", "web:1").strip() == ours
    podman.ok("save", "--format", form, "--output", str(tmp_path / "saved"), "web:1")
    assert ensure(host, "saved:1", load_path=str(tmp_path / "saved")) == ours
    runs(host, "saved:1")


def test_buildah(host: Any, buildah: Client, archive: Path, tmp_path: Path) -> None:
    container = buildah.ok("from", f"oci-archive:{archive}").strip()
    (tmp_path / "more").write_text("more")
    buildah.ok("copy", container, str(tmp_path / "more"), "/deep/er/more")
    buildah.ok("config", "--cmd", "/bin/busybox cat /deep/er/more", "--user", "7:8", container)
    for form in ("oci-archive", "docker-archive", "oci"):
        place = tmp_path / form
        buildah.ok("commit", "--quiet", container, f"{form}:{place}:made:1")
        ensure(host, f"{form}:1", load_path=str(place))
        done = host.run(None, image=f"{form}:1")
        assert (done.rc, done.stdout) == (0, "more")
        runs(host, f"{form}:1")
    buildah.ok("rm", container)


def test_skopeo(host: Any, layout: Path, archive: Path, tmp_path: Path) -> None:
    ours = ensure(host, "web:1")
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{archive}", f"oci:{tmp_path}/there:1"], check=True)
    assert json.loads((tmp_path / "there/index.json").read_text())["manifests"][0]["digest"] == digest
    assert ensure(host, "there:1", load_path=str(tmp_path / "there")) == ours
    runs(host, "there:1")


def test_umoci(host: Any, layout: Path, tmp_path: Path) -> None:
    mine = tmp_path / "layout"
    shutil.copytree(layout, mine)
    (tmp_path / "more").write_text("more")
    subprocess.run(["umoci", "insert", "--image", f"{mine}:1", tmp_path / "more", "/deep/er/more"], check=True)
    subprocess.run(["umoci", "insert", "--opaque", "--image", f"{mine}:1", tmp_path / "more", "/deep"], check=True)
    ensure(host, "inserted:1", load_path=str(mine))
    runs(host, "inserted:1")
    assert host.run(["/bin/busybox", "cat", "/deep"], image="inserted:1").stdout == "more"
