# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from Debian's registry, filled by skopeo: what a task asks for is what it gets, with every digest."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import connection
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore, StoredImage
from ansible_collections.mini.containers.plugins.modules.mini_image import ARGUMENT_SPEC
from registries import INDEX, MANIFEST, certificates, debian, put

DEFAULTS = {name: option.get("default") for name, option in ARGUMENT_SPEC.items()}


class Host:
    """A state root of its own."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)

    def image(self, name: str, **options: Any) -> converge.Outcome:
        """What the task does."""
        extra = {key: options.pop(key) for key in ("check", "observer") if key in options}
        params = {**DEFAULTS, "name": name, "plain_http": True, **options}
        wanted = image_spec(params)
        return converge.ensure(self.paths, wanted, connect=connection(params, wanted.reference), **extra)

    def actions(self, name: str, **options: Any) -> list[str]:
        """The steps of a task."""
        return [step.name for step in self.image(name, **options).plan]

    def find(self, name: str) -> StoredImage:
        """The image."""
        found = self.store.find(name)
        assert found is not None
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Host(tmp_path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, layout: Path) -> Iterator[str]:
    """A registry without TLS and logins: `web:1` with OCI's types, `web:docker` with Docker's, `web:many` an index."""
    with debian(tmp_path_factory.mktemp("registry") / "plain") as where:
        copy(f"oci:{layout}:1", f"docker://{where}/team/web:1")
        copy(f"oci:{layout}:1", f"docker://{where}/team/web:docker", "--format", "v2s2")
        entry = {"mediaType": MANIFEST, **_described(where, "team/web:1")}
        other = {**entry, "platform": {"os": "linux", "architecture": "s390x"}}
        mine = {**entry, "platform": {"os": "linux", "architecture": platform.host().architecture}}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, mine]}
        put(where, "team/web/manifests/many", index, INDEX)
        yield where


def copy(source: str, target: str, *options: str) -> None:
    command = ["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, target]
    subprocess.run(command, check=True)


def inspect(where: str, name: str) -> bytes:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{where}/{name}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _described(where: str, name: str) -> dict[str, Any]:
    import hashlib

    raw = inspect(where, name)
    return {"digest": "sha256:" + hashlib.sha256(raw).hexdigest(), "size": len(raw)}


def tree(root: Path) -> list[Any]:
    """Names, kinds, modes and contents."""
    return [
        (str(path.relative_to(root)), path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(root.rglob("*"))
    ]


def snapshot(root: str) -> list[str]:
    return sorted(os.path.join(path, name) for path, _dirs, names in os.walk(root) for name in names)


def test_life(host: Host, registry: str) -> None:
    name = f"{registry}/team/web:1"
    assert host.actions(name, check=True) == ["pull"]
    assert not os.path.exists(host.paths.state_root)
    outcome = host.image(name)
    assert [step.name for step in outcome.plan] == ["pull"]
    digest = _described(registry, "team/web:1")["digest"]
    assert outcome.image is not None
    assert outcome.image["RepoDigests"] == [f"{registry}/team/web@{digest}"]
    assert outcome.image["RepoTags"] == [name]
    assert outcome.image["Config"]["Cmd"] == ["/bin/busybox"]
    assert host.find(name).manifest_digest == digest
    assert len(host.find(name).layers) == 2
    before = snapshot(host.paths.state_root)
    for options in ({}, {"pull": "always"}, {"pull": "never"}, {"source": "local"}):
        assert host.actions(name, **options) == []
    assert snapshot(host.paths.state_root) == before
    upper = Path(host.store.layer_dirs(host.find(name))[1])
    assert (upper / "new").read_text() == "new"
    assert os.path.exists(upper / "gone")
    assert (upper / "gone").lstat().st_rdev == 0


def test_a_tag_that_moved(host: Host, registry: str, layout: Path, tmp_path: Path) -> None:
    name = f"{registry}/team/moving:1"
    copy(f"oci:{layout}:1", f"docker://{name}")
    host.image(name, env={"A": "1"})
    assert host.actions(name, pull="always", env={"A": "1"}) == []
    shutil.copytree(layout, tmp_path / "layout")
    subprocess.run(["umoci", "config", "--image", f"{tmp_path}/layout:1", "--config.user", "7"], check=True)
    copy(f"oci:{tmp_path}/layout:1", f"docker://{name}")
    assert host.actions(name, env={"A": "1"}) == []
    assert host.actions(name, pull="always", env={"A": "1"}, check=True) == ["pull", "sweep"]
    layers = [os.stat(path).st_ino for path in host.store.layer_dirs(host.find(name))]
    assert host.actions(name, pull="always", env={"A": "1"}) == ["pull", "sweep"]
    assert host.actions(name, pull="always", env={"A": "1"}) == []
    found = host.find(name)
    assert (found.config.user, found.config.env) == ("7", {"A": "1"})
    assert [os.stat(path).st_ino for path in host.store.layer_dirs(found)] == layers


def test_dockers_types_become_ocis_and_the_image_stays(host: Host, registry: str) -> None:
    host.image(f"{registry}/team/web:1")
    host.image(f"{registry}/team/web:docker")
    one, other = host.find(f"{registry}/team/web:1"), host.find(f"{registry}/team/web:docker")
    assert json.loads(inspect(registry, "team/web:docker"))["config"]["digest"] == other.id
    assert [blob.digest for blob in one.blobs] == [blob.digest for blob in other.blobs]
    assert {blob.media_type for blob in other.blobs} == {blob.media_type for blob in one.blobs}
    assert host.actions(f"{registry}/team/web:docker", pull="always") == []


def test_others_read_what_was_pulled(host: Host, registry: str, tmp_path: Path) -> None:
    for tag in ("1", "docker"):
        host.image(f"{registry}/team/web:{tag}", archive_path=str(tmp_path / f"{tag}.tar"))
        copy(f"oci-archive:{tmp_path}/{tag}.tar", f"oci:{tmp_path}/copied:{tag}")
        subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/copied:{tag}", tmp_path / f"by-{tag}"], check=True)
        assert (tmp_path / f"by-{tag}" / "rootfs" / "new").read_text() == "new"
        assert not (tmp_path / f"by-{tag}" / "rootfs" / "gone").exists()
    assert tree(tmp_path / "by-1" / "rootfs") == tree(tmp_path / "by-docker" / "rootfs")


def test_an_index(host: Host, registry: str) -> None:
    name = f"{registry}/team/web:many"
    assert host.actions(name) == ["pull"]
    assert host.actions(name, pull="always") == []
    index, manifest = _described(registry, "team/web:many")["digest"], _described(registry, "team/web:1")["digest"]
    assert host.find(name).manifest_digest == manifest
    assert host.image(name).image["RepoDigests"] == [f"{registry}/team/web@{index}"]  # type: ignore[index]
    assert host.store.find(f"{name}@{index}") == host.store.find(f"{name}@{manifest}") == host.find(name)
    with pytest.raises(NotFound, match="no image for linux/riscv64; it has linux/"):
        host.image(f"{registry}/team/web:many", platform="linux/riscv64")
    with pytest.raises(NotFound, match="no .* for linux/s390x, only for linux/"):
        host.image(f"{registry}/team/web:many", platform="linux/s390x")  # a lie of this index
    assert host.find(name).manifest_digest == manifest


@pytest.mark.parametrize("tag", ["", ":1"])
def test_by_digest(host: Host, registry: str, tag: str) -> None:
    digest = _described(registry, "team/web:1")["digest"]
    name = f"{registry}/team/web{tag}@{digest}"
    assert host.actions(name) == ["pull"]
    assert host.actions(name, pull="always") == []
    assert host.find(name).manifest_digest == digest
    for options in ({}, {"pull": "never"}):
        with pytest.raises(NotFound):
            host.image(f"{registry}/team/web{tag}@sha256:{'0' * 64}", **options)
    assert host.find(name).manifest_digest == digest


def test_what_is_not_there(host: Host, registry: str) -> None:
    for name in ("team/web:none", "team/none"):
        with pytest.raises(NotFound, match="see whether name and tag are right"):
            host.image(f"{registry}/{name}")
    for options in ({"pull": "never"}, {"source": "local"}):
        with pytest.raises(NotFound, match="there is no image"):
            host.image(f"{registry}/team/web:1", **options)
    with pytest.raises(NotFound, match="fetch it with mini_image"):
        host.store.resolve(f"{registry}/team/web:1")


def test_push(host: Host, registry: str, layout: Path, tmp_path: Path) -> None:
    name = f"{registry}/pushed/web:1"
    options: dict[str, Any] = {"load_path": str(layout), "push": True}
    assert host.actions(name, **options, check=True) == ["load", "push"]
    assert not os.path.exists(host.paths.state_root)
    assert host.actions(name, **options) == ["load", "push"]
    assert host.actions(name, **options) == []
    assert _described(registry, "pushed/web:1")["digest"] == host.find(name).manifest_digest
    assert host.actions(name, **options, user="7", check=True) == ["configure", "push", "sweep"]
    assert host.actions(name, **options, user="7") == ["configure", "push", "sweep"]
    assert host.actions(name, **options, user="7") == []
    copy(f"docker://{name}", f"oci:{tmp_path}/copied:1")
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/copied:1", tmp_path / "by-umoci"], check=True)
    assert (tmp_path / "by-umoci" / "rootfs" / "new").read_text() == "new"
    (tmp_path / "other").mkdir()
    other = Host(tmp_path / "other")
    assert other.actions(name) == ["pull"]
    assert other.find(name).manifest_digest == host.find(name).manifest_digest
    copy(f"oci:{layout}:1", f"docker://{name}")  # somebody moves the tag
    assert host.actions(name, user="7", push=True) == ["push"]
    for wrong in ("web:1", f"{registry}/web@{host.find(name).manifest_digest}"):
        with pytest.raises(BadInput, match="push: "):
            host.image(wrong, push=True)


def test_round_trip(
    host: Host, registry: str, guarded: str, tls: Mapping[str, Path], tmp_path: Path, layout: Path
) -> None:
    """Ours, a registry with TLS and a login, skopeo, docker's archive, ours again: every digest is kept."""
    name = f"{guarded}/trip/web:1"
    access = {"plain_http": False, "ca_path": str(tls["ca"])}
    access |= {"registry_username": "ann", "registry_password": "s3cret phrase"}
    host.image("mine:1", load_path=str(layout), env={"A": "1"}, archive_path=str(tmp_path / "a.tar"))
    assert host.actions(name, load_path=str(tmp_path / "a.tar"), push=True, **access) == ["load", "push"]
    login = ("--src-creds", "ann:s3cret phrase")
    copy(f"docker://{name}", f"oci:{tmp_path}/copied:1", *login)
    copy(f"docker://{name}", f"docker-archive:{tmp_path}/b.tar:trip/web:2", *login)
    host.image("trip/web:2", load_path=str(tmp_path / "b.tar"))
    host.image("trip/web:3", load_path=str(tmp_path / "copied"))
    first, second, third = host.find(name), host.find("trip/web:2"), host.find("trip/web:3")
    assert (first.id, first.diff_ids) == (second.id, second.diff_ids)
    assert (first.id, first.manifest_digest, first.blobs) == (third.id, third.manifest_digest, third.blobs)


UNCHANGED = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images.converge import ensure
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import connection
wanted = image_spec({"name": sys.argv[4], "pull": "missing"})
outcome = ensure(Paths(sys.argv[2], sys.argv[3]), wanted, connect=connection({}, wanted.reference))
unneeded = {"http", "ssl", "socket", "concurrent", "tarfile", "ansible"}
print(len(outcome.plan.steps), *sorted(unneeded & set(sys.modules)))
"""


def test_nothing_of_http_is_loaded_when_nothing_is_asked(host: Host, registry: str) -> None:
    name = f"{registry}/team/web:1"
    host.image(name)
    root = next(path for path in sys.path if os.path.isdir(os.path.join(path, "ansible_collections", "mini")))
    command = [sys.executable, "-I", "-c", UNCHANGED, root, host.paths.state_root, host.paths.run_root, name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0"]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tls: Mapping[str, Path], layout: Path) -> Iterator[str]:
    """A registry with TLS, and with a login."""
    with debian(tmp_path_factory.mktemp("guarded") / "tls", tls, user="ann:s3cret phrase") as where:
        copy(f"oci:{layout}:1", f"docker://{where}/web:1", "--dest-creds", "ann:s3cret phrase")
        yield where


def test_tls_and_a_login(host: Host, guarded: str, tls: Mapping[str, Path], tmp_path: Path, layout: Path) -> None:
    name, ca = f"{guarded}/web:1", {"plain_http": False, "ca_path": str(tls["ca"])}
    login = {"registry_username": "ann", "registry_password": "s3cret phrase"}
    with pytest.raises(RegistryFailed, match="certificate is not to be trusted.*ca_path"):
        host.image(name, plain_http=False, **login)
    with pytest.raises(RegistryFailed, match="log in with registry_username"):
        host.image(name, **ca)
    with pytest.raises(RegistryFailed, match="does not let this login have"):
        host.image(name, **ca, **{**login, "registry_password": "wrong"})
    with pytest.raises(BadInput, match="one is given, and the other is not"):
        host.image(name, **ca, registry_username="ann")
    with pytest.raises(BadInput, match="ca_path"):
        host.image(name, plain_http=False, ca_path="/nowhere", **login)
    assert not os.path.exists(host.paths.state_root)
    assert host.actions(name, plain_http=False, validate_certs=False, check=True, **login) == ["pull"]
    assert host.actions(name, **ca, **login) == ["pull"]
    assert host.actions(name, **ca, **login, pull="always") == []
    assert host.actions(f"{guarded}/pushed:1", **ca, **login, load_path=str(layout), push=True) == ["load", "push"]
    for path in filter(os.path.isfile, snapshot(str(tmp_path))):
        assert b"s3cret" not in Path(path).read_bytes(), path


def test_logins_of_others(host: Host, guarded: str, tls: Mapping[str, Path], tmp_path: Path) -> None:
    name, options = f"{guarded}/web:1", {"plain_http": False, "ca_path": str(tls["ca"]), "check": True}
    path = tmp_path / "auth.json"
    subprocess.run(
        ["skopeo", "login", "--authfile", path, "--tls-verify=false", "-u", "ann", "--password-stdin", guarded],
        check=True,
        input=b"s3cret phrase",
        capture_output=True,
    )
    assert host.actions(name, auth_file=str(path), **options) == ["pull"]
    docker = tmp_path / "home" / ".docker"
    docker.mkdir(parents=True)
    entry = {"auth": base64.b64encode(b"ann:s3cret phrase").decode()}
    (docker / "config.json").write_text(json.dumps({"auths": {f"https://{guarded}/v2/": entry}, "credsStore": "x"}))
    assert host.actions(name, **options) == ["pull"]
    path.write_text(json.dumps({"auths": {guarded: {"auth": ["s3cret"]}}}))
    with pytest.raises(BadInput) as failure:
        host.actions(name, auth_file=str(path), **options)
    assert "s3cret" not in str(failure.value)
    with pytest.raises(BadInput, match="auth_file: there is no"):
        host.actions(name, auth_file="/nowhere", **options)


def test_a_certificate_of_our_own(host: Host, tls: Mapping[str, Path], tmp_path: Path, layout: Path) -> None:
    with debian(tmp_path / "registry", tls, clients=True) as where:
        certificate = {"client_cert": str(tls["client"]), "client_key": str(tls["client_key"])}
        options = {"plain_http": False, "ca_path": str(tls["ca"])}
        with pytest.raises(NotFound):
            host.image(f"{where}/web:1", **options, **certificate)
        with pytest.raises(RegistryFailed):
            host.image(f"{where}/web:1", **options)


def test_a_registry_without_tls_is_not_spoken_to_unasked(host: Host, registry: str) -> None:
    with pytest.raises(RegistryFailed, match="does not speak TLS; give plain_http"):
        host.image(f"{registry}/team/web:1", plain_http=False)


def test_the_task_shows_no_password(host: Host, guarded: str, tls: Mapping[str, Path]) -> None:
    arguments = {"name": f"{guarded}/web:1", "registry_username": "ann", "registry_password": "s3cret phrase"}
    arguments |= {"ca_path": str(tls["ca"]), "state_root": host.paths.state_root}
    command = [
        "ansible",
        "localhost",
        "-vvv",
        "--diff",
        "-m",
        "mini_image",
        "-a",
        json.dumps(arguments),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "HOME": "/root"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"changed": true' in done.stdout or "changed: true" in done.stdout
    shown = done.stdout + done.stderr
    assert "s3cret phrase" not in shown.replace(json.dumps(arguments), "")
