# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors are asked first, are believed nothing, and are told no login but their own."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import ANONYMOUS, connection
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from ansible_collections.mini.containers.plugins.module_utils.image.registry import session
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from rawtar import archive, member
from registries import MANIFEST, Liar, send

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONTENT = os.urandom(2**20)


class Site:
    """A registry, a mirror of it, and a host."""

    def __init__(self, directory: Path, origin: Liar, mirror: Liar) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)
        self.origin, self.mirror = origin, mirror
        self.name = f"{origin.where}/team/web:1"
        self.warnings: list[str] = []

    def pull(self, **options: Any) -> list[str]:
        """The steps of a task that always asks."""
        params = {**ANONYMOUS, "plain_http": True, "mirrors": [f"http://{self.mirror.where}/hub"], **options}
        wanted = image_spec({"name": params.pop("name", self.name), "pull": "always"})
        connect = connection(params, wanted.reference, self.warnings.append)
        outcome = converge.ensure(self.paths, wanted, connect=connect)
        storefiles.fsck(self.paths.state_root)
        assert not os.path.exists(self.paths.downloads) or os.listdir(self.paths.downloads) == []
        return [step.name for step in outcome.plan]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(session, "backoff", lambda _attempt: 0.0)
    with Liar() as origin, Liar() as mirror:
        yield Site(tmp_path, origin, mirror)


def image(liar: Liar, content: bytes = CONTENT) -> str:
    """An honest image of one layer; its layer's digest."""
    layer = liar.add(archive(member("file", data=content)), LAYER)
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    config = {"os": "linux", "architecture": platform.host().architecture, "rootfs": rootfs}
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": liar.add(config, CONFIG), "layers": [layer]}
    liar.add(document, MANIFEST, "1")
    return str(layer["digest"])


def test_a_mirror_has_it_all(site: Site) -> None:
    image(site.origin)
    image(site.mirror)
    assert site.pull() == ["pull"]
    assert site.pull() == []
    assert site.origin.asked == []
    assert all(path.startswith("/v2/hub/team/web/") for _verb, path, _headers in site.mirror.asked)
    assert site.pull(mirrors=None) == []
    found = site.store.resolve(site.name)
    assert site.origin.where in found.sources[site.name]
    assert site.mirror.where not in found.sources[site.name]
    assert site.warnings == []


def test_by_digest(site: Site) -> None:
    image(site.origin)
    image(site.mirror)
    digest = site.origin.tags["1"]
    assert site.pull(name=f"{site.origin.where}/team/web@{digest}") == ["pull"]
    assert site.origin.asked == []


def test_one_that_does_not_have_it(site: Site) -> None:
    image(site.origin)
    assert site.pull() == ["pull"]
    assert len(site.mirror.asked) > 0
    assert site.warnings == []
    site.origin.tags.clear()
    with pytest.raises(NotFound, match=site.origin.where):
        site.pull()


@pytest.mark.parametrize("where", ["manifest", "layer"])
@pytest.mark.parametrize("how", ["busy", "wrong", "refused", "cut"])
def test_one_that_fails(site: Site, where: str, how: str) -> None:
    """It is asked once, and then the registry goes on where it stopped."""
    layer = image(site.origin)
    image(site.mirror)
    raw = site.mirror.blobs[layer]
    lies = {
        "busy": lambda request: send(request, 503),
        "refused": lambda request: send(request, 401, b"", {"WWW-Authenticate": 'Basic realm="x"'}),
        "wrong": lambda request: send(request, 200, b"x" * len(raw)),
        "cut": lambda request: send(request, 200, raw[: 2**19], {"Content-Length": str(len(raw))}),
    }
    site.mirror.lies[site.mirror.tags["1"] if where == "manifest" else layer] = lies[how]
    assert site.pull() == ["pull"]
    assert [site.mirror.where in warning for warning in site.warnings] == [True]
    ranges = [headers.get("range") for _verb, path, headers in site.origin.asked if path.endswith(layer)]
    assert ranges == [f"bytes={2**19}-" if (where, how) == ("layer", "cut") else None]


def test_what_a_mirror_began_is_not_believed(site: Site) -> None:
    layer = image(site.origin)
    image(site.mirror)
    raw = site.mirror.blobs[layer]
    other = bytes(2**19)
    site.mirror.lies[layer] = lambda request: send(request, 200, other, {"Content-Length": str(len(raw))})
    assert site.pull() == ["pull"]
    (root,) = site.store.layer_dirs(site.store.resolve(site.name))
    assert Path(root, "file").read_bytes() == CONTENT


def test_nobody_there(site: Site) -> None:
    image(site.origin)
    assert site.pull(mirrors=["http://127.0.0.1:1", "http://127.0.0.1:2/x"]) == ["pull"]
    assert len(site.warnings) == 2
    with pytest.raises(RegistryFailed):
        site.pull(name="127.0.0.1:3/web", mirrors=["http://127.0.0.1:1"])


def test_logins_go_to_whom_they_belong(site: Site, tmp_path: Path) -> None:
    """Each asks for one; the mirror gets what is filed for it, and never the task's."""
    layer = image(site.origin)
    image(site.mirror)
    for liar in (site.origin, site.mirror):
        liar.lies["*"] = lambda request: (
            "authorization" not in request.headers and send(request, 401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        )
    own = base64.b64encode(b"mirror:own").decode()
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {site.mirror.where: {"auth": own}}}))
    login = {"registry_username": "ann", "registry_password": "s3cret"}
    assert site.pull(**login, auth_file=str(tmp_path / "auth.json")) == ["pull"]
    assert site.origin.asked == []
    del site.mirror.blobs[layer]
    (tmp_path / "auth.json").write_text("{}")
    site.pull(**login, name=f"{site.origin.where}/team/web@{site.origin.tags['1']}")
    told = [base64.b64decode(headers.get("authorization", "Basic ")[6:]) for _v, _p, headers in site.mirror.asked]
    assert set(told) == {b"", b"mirror:own"}


@pytest.mark.parametrize(
    "text", ["", "a b", "ftp://x", "http://", "x/Y", "x//y", "user:pass@x", "http://x/../y", "x?y", "-x", "[::1/x"]
)
def test_what_is_no_mirror(site: Site, text: str) -> None:
    with pytest.raises(BadInput, match="mirrors: .* is not a registry"):
        site.pull(mirrors=[text])
    assert site.origin.asked == site.mirror.asked == []
