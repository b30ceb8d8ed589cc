# SPDX-License-Identifier: GPL-3.0-or-later
"""A blob is fetched once on a host: by several tasks at a time, and by one after another that was cut short."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, MiniError, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import actions, converge
from ansible_collections.mini.containers.plugins.module_utils.engine.prune import converge as pruning
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted as prune_wanted
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import ANONYMOUS, connection
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from ansible_collections.mini.containers.plugins.module_utils.image.downloads import Downloads
from ansible_collections.mini.containers.plugins.module_utils.image.registry import download, session
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from rawtar import archive, member
from registries import MANIFEST, Liar, send

from ..waiting import eventually

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
HALF = 2**20
SHARED, OTHER = (archive(member(name, data=os.urandom(2 * HALF))) for name in ("shared", "other"))


class Host:
    """A state root and a registry."""

    def __init__(self, directory: Path, liar: Liar) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)
        self.liar = liar

    def pull(self, tag: str = "1", **options: Any) -> list[str]:
        """The steps of a task."""
        wanted = image_spec({"name": f"{self.liar.where}/web:{tag}"})
        params = {**ANONYMOUS, "plain_http": True, **options}
        return [
            step.name for step in converge.ensure(self.paths, wanted, connect=connection(params, wanted.reference)).plan
        ]

    def in_background(self, tag: str = "1") -> int:
        """A task in a process of its own."""
        child = os.fork()
        if not child:
            try:
                self.pull(tag)
                os._exit(0)
            except BaseException as exc:
                os.write(2, f"{exc!r}\n".encode())
            finally:
                os._exit(1)
        return child

    def begun(self) -> list[int]:
        """How much there is of each blob that is on its way."""
        try:
            return [
                os.lstat(os.path.join(self.paths.downloads, name)).st_size for name in os.listdir(self.paths.downloads)
            ]
        except FileNotFoundError:
            return []

    def whole(self) -> None:
        """Nothing is left on its way, and all that is there is whole."""
        storefiles.fsck(self.paths.state_root)
        assert self.begun() == []


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session, "backoff", lambda _attempt: 0.0)
    monkeypatch.setattr(download, "backoff", lambda _attempt: 0.0)
    with Liar() as found:
        yield found


@pytest.fixture
def host(tmp_path: Path, liar: Liar) -> Host:
    return Host(tmp_path, liar)


def image(liar: Liar, *layers: bytes, tag: str = "1") -> list[str]:
    """An honest image; its layers' digests."""
    tars = [liar.add(raw, LAYER) for raw in layers]
    rootfs = {"type": "layers", "diff_ids": [item["digest"] for item in tars]}
    config = {"os": "linux", "architecture": platform.host().architecture, "rootfs": rootfs, "author": tag}
    liar.add(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": liar.add(config, CONFIG), "layers": tars}, MANIFEST, tag
    )
    return [item["digest"] for item in tars]


def ranges(liar: Liar, digest: str) -> list[str]:
    """From where on a blob was asked for, each time."""
    return [headers.get("range", "") for _verb, path, headers in liar.asked if path.endswith(digest)]


def half(liar: Liar, digest: str) -> Any:
    """The first half of a blob, and the end of the connection."""
    raw = liar.blobs[digest]
    return lambda request: send(request, 200, raw[:HALF], {"Content-Length": str(len(raw))})


def gate(liar: Liar, digest: str) -> tuple[threading.Event, threading.Event]:
    """A blob that stops in the middle until it is let go on."""
    reached, go_on = threading.Event(), threading.Event()
    raw = liar.blobs[digest]

    def stuck(request: BaseHTTPRequestHandler) -> bool:
        if request.headers.get("range"):
            return False
        request.send_response(200)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        try:
            request.wfile.write(raw[:HALF])
            reached.set()
            go_on.wait(60)
            request.wfile.write(raw[HALF:])
        except OSError:
            pass
        return True

    liar.lies[digest] = stuck
    return reached, go_on


def test_what_a_task_began_the_next_goes_on_with(host: Host, liar: Liar) -> None:
    shared, _other = image(liar, SHARED, OTHER)
    liar.lies[shared] = lambda request: (
        send(request, 500) if request.headers.get("range") else half(liar, shared)(request)
    )
    with pytest.raises(RegistryFailed):
        host.pull()
    assert HALF in host.begun()
    liar.lies.clear()
    liar.asked.clear()
    assert host.pull() == ["pull"]
    assert ranges(liar, shared) == [f"bytes={HALF}-"]
    host.whole()


@pytest.mark.parametrize("damage", ["other", "longer", "whole but wrong"])
def test_what_was_begun_is_not_believed(host: Host, liar: Liar, damage: str) -> None:
    (shared,) = image(liar, SHARED)
    os.makedirs(host.paths.downloads, 0o700)
    begun = {"other": bytes(HALF), "longer": SHARED + b"x", "whole but wrong": bytes(len(SHARED))}[damage]
    Path(host.paths.downloads, shared.removeprefix("sha256:")).write_bytes(begun)
    assert host.pull() == ["pull"]
    assert ranges(liar, shared)[-1] == ""
    host.whole()


def test_two_tasks_fetch_a_layer_once(host: Host, liar: Liar) -> None:
    shared, _other = image(liar, SHARED, OTHER)
    image(liar, SHARED, tag="2")
    reached, go_on = gate(liar, shared)
    first = host.in_background("1")
    assert reached.wait(60)
    second = host.in_background("2")
    eventually(lambda: any(path.endswith("manifests/2") for path in liar.paths("HEAD")) and len(liar.paths()) >= 5)
    go_on.set()
    assert [os.waitpid(child, 0)[1] for child in (first, second)] == [0, 0]
    assert ranges(liar, shared) == [""]
    assert len(host.store.images()) == 2
    host.whole()


def test_who_waits_goes_on_when_the_other_is_killed(host: Host, liar: Liar) -> None:
    (shared,) = image(liar, SHARED)
    reached, go_on = gate(liar, shared)
    first = host.in_background()
    assert reached.wait(60)
    eventually(lambda: host.begun() == [HALF])
    second = host.in_background()
    eventually(lambda: len(liar.paths("HEAD")) == 2)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    go_on.set()
    assert os.waitpid(second, 0)[1] == 0
    assert ranges(liar, shared) == ["", f"bytes={HALF}-"]
    assert host.pull() in ([], ["sweep"])
    host.whole()


def test_a_full_disk_keeps_nothing(host: Host, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    image(liar, SHARED)

    def full(_file: Any, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(download, "_write", full)
        with pytest.raises(MiniError, match="No space left"):
            host.pull()
    assert host.begun() == []
    assert host.pull() == ["pull"]
    host.whole()


def test_what_is_wrong_is_not_kept(host: Host, liar: Liar) -> None:
    shared, _other = image(liar, SHARED, OTHER)
    liar.lies[shared] = lambda request: send(request, 200, bytes(len(SHARED)))
    with pytest.raises(BadImage):
        host.pull()
    assert host.begun() == []
    liar.lies.clear()
    assert host.pull() == ["pull"]
    host.whole()


def test_what_nobody_goes_on_with_is_swept(host: Host, liar: Liar) -> None:
    image(liar, SHARED)
    image(liar, OTHER, tag="2")
    os.makedirs(host.paths.downloads, 0o700)
    old, new = (Path(host.paths.downloads, digit * 64) for digit in "12")
    for path in (old, new):
        path.write_bytes(bytes(HALF))
    os.utime(old, (0, 0))
    assert host.pull() == ["pull", "sweep"]
    assert os.listdir(host.paths.downloads) == ["2" * 64]
    assert host.pull() == []
    with Downloads(host.paths).claim("sha256:" + "2" * 64, threading.Event()):
        assert not pruning.prune(host.paths, prune_wanted({"images": True})).plan
    told = pruning.prune(host.paths, prune_wanted({"images": True}), check=True)
    assert [step.name for step in told.plan] == ["sweep"]
    assert os.listdir(host.paths.downloads) == ["2" * 64]
    assert [step.name for step in pruning.prune(host.paths, prune_wanted({"images": True})).plan] == ["sweep"]
    assert not pruning.prune(host.paths, prune_wanted({"images": True})).plan
    host.whole()


def test_a_layer_that_another_task_sweeps_meanwhile(host: Host, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when this task looked, and is not when it comes to be counted on."""
    image(liar, SHARED)
    image(liar, SHARED, OTHER, tag="2")
    host.pull("1")
    collected, times = actions.collect, iter(range(1))

    def meanwhile(*arguments: Any) -> Any:
        parcel = collected(*arguments)
        for _once in times:
            converge.remove(host.paths, f"{liar.where}/web:1")
        return parcel

    monkeypatch.setattr(actions, "collect", meanwhile)
    assert host.pull("2") == ["pull"]
    (found,) = host.store.images()
    assert host.store.missing_layers(found) == []
    host.whole()
