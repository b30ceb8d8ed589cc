# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that lies, breaks off, sends elsewhere or goes on for ever. Nothing of it is ever in the store."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import (
    BadImage,
    MiniError,
    NotFound,
    RegistryFailed,
)
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.images.spec import ALWAYS, ImageSpec
from ansible_collections.mini.containers.plugins.module_utils.glue.http import Security, transport
from ansible_collections.mini.containers.plugins.module_utils.image import platform, reference
from ansible_collections.mini.containers.plugins.module_utils.image.registry.address import address
from ansible_collections.mini.containers.plugins.module_utils.image.registry.client import Registry
from ansible_collections.mini.containers.plugins.module_utils.image.registry.credentials import Credentials
from ansible_collections.mini.containers.plugins.module_utils.image.registry.session import ATTEMPTS, Session
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from registries import INDEX, MANIFEST, Liar, send

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NONE = "sha256:" + "0" * 64
SECRET = "the pass phrase"


class Host:
    """A state root, and one image of one registry."""

    def __init__(self, directory: Path, liar: Liar) -> None:
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)
        self.liar = liar
        self.name = f"{liar.where}/web:1"
        self.pauses: list[float] = []

    def pull(self, *, login: bool = False, timeout: float = 30, check: bool = False) -> list[str]:
        """The steps of a task that always asks."""
        name = reference.parse(self.name)
        credentials = Credentials("ann", SECRET) if login else None
        send_to = transport(Security(), timeout)

        def connect() -> Registry:
            session = Session(send_to, address(name), credentials, plain_http=True, pause=self.pauses.append)
            return Registry(session, timeout)

        outcome = converge.ensure(self.paths, ImageSpec(name, pull=ALWAYS), connect=connect, check=check)
        return [step.name for step in outcome.plan]

    def kept(self) -> list[str]:
        """Every file of the store but the locks and the two that a layout consists of."""
        return storefiles.kept(self.paths.state_root)


@pytest.fixture
def host(tmp_path: Path, liar: Liar) -> Host:
    return Host(tmp_path, liar)


def layer(content: bytes = b"hello") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def image(liar: Liar, *layers: bytes, tag: str = "1", **changes: Any) -> dict[str, Any]:
    """An honest image, but for `changes` in the manifest; its manifest."""
    tars = [liar.add(raw, LAYER) for raw in layers or (layer(),)]
    diff_ids = [item["digest"] for item in tars]
    machine = platform.host()
    config = {"os": "linux", "architecture": machine.architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": liar.add(config, CONFIG),
        "layers": tars,
        **changes,
    }
    liar.add(manifest, MANIFEST, tag)
    return manifest


def test_the_truth(host: Host, liar: Liar) -> None:
    image(liar)
    assert host.pull(check=True) == ["pull"]
    assert liar.paths() == []
    assert not os.path.exists(host.paths.state_root)
    assert host.pull() == ["pull"]
    assert len(liar.paths()) == 3
    assert host.pull() == []
    assert len(liar.paths()) == 3
    (root,) = host.store.layer_dirs(host.store.resolve(host.name))
    assert Path(root, "file").read_bytes() == b"hello"


def test_no_layer_is_fetched_twice(host: Host, liar: Liar) -> None:
    shared, other = layer(b"shared"), layer(b"other")
    image(liar, shared, other, shared)
    host.pull()
    first = [path for path in liar.paths() if "blobs" in path]
    assert len(first) == len(set(first)) == 3
    image(liar, shared, layer(b"new"))
    assert host.pull() == ["pull", "sweep"]
    assert len([path for path in liar.paths() if "blobs" in path]) == 5  # a layer, a configuration


def test_a_damaged_blob_of_the_store_is_fetched_again(host: Host, liar: Liar) -> None:
    manifest = image(liar)
    host.pull()
    found = host.store.resolve(host.name)
    blob = Path(host.store.layout.blob(manifest["layers"][0]["digest"]))
    blob.write_bytes(bytes(len(blob.read_bytes())))
    (root,) = map(Path, host.store.layer_dirs(found))
    (root / "file").unlink()
    root.rmdir()
    image(liar, layer(), layer(b"more"))
    assert host.pull() == ["pull", "sweep"]
    assert (root / "file").read_bytes() == b"hello"
    assert blob.read_bytes() == layer()


def blob(liar: Liar) -> str:
    """The name of the layer of the one image."""
    return next(digest for digest, kind in liar.types.items() if kind == LAYER)


def whole(lie: Callable[[bytes], bytes]) -> Callable[[Liar], Callable[[BaseHTTPRequestHandler], bool]]:
    """An answer of other bytes than there are."""
    return lambda liar: lambda request: send(request, 200, lie(liar.blobs[blob(liar)]))


def endless(request: BaseHTTPRequestHandler) -> bool:
    """A body that says no length and has no end; False would mean that nobody stopped it."""
    send(request, 200, b"", {"Content-Length": str(2**40)})
    return forever(request)


def forever(request: BaseHTTPRequestHandler) -> bool:
    try:
        for _number in range(2**16):
            request.wfile.write(bytes(2**16))
    except OSError:
        return True
    raise AssertionError("4 GiB were taken")


def unmeasured(request: BaseHTTPRequestHandler) -> bool:
    request.send_response(200)
    request.end_headers()
    return forever(request)


@pytest.mark.parametrize(
    ("lie", "error", "message"),
    [
        (whole(lambda raw: bytes(len(raw))), BadImage, "sent sha256:.* for sha256:"),
        (whole(lambda raw: raw + b"x"), BadImage, "sends more of sha256:"),
        (whole(lambda raw: raw[:-1]), RegistryFailed, "breaks off again and again"),
        (lambda _liar: endless, BadImage, "sends more of sha256:"),
        (lambda _liar: unmeasured, BadImage, "sends more of sha256:"),
        (lambda _liar: lambda request: send(request, 404), NotFound, "see whether"),
        (lambda _liar: lambda request: send(request, 418), RegistryFailed, "answers 418"),
        (lambda _liar: lambda request: send(request, 503), RegistryFailed, "after 5 attempts: .* answers 503"),
        (
            lambda _liar: lambda request: send(request, 302, b"", {"Location": request.path}),
            RegistryFailed,
            "from one place to the next",
        ),
        (
            lambda _liar: lambda request: send(request, 302, b"", {"Location": "file:///etc/shadow"}),
            RegistryFailed,
            "sends to file:.*nothing is fetched",
        ),
    ],
)
def test_a_blob_that_is_not_what_it_should_be(
    host: Host, liar: Liar, lie: Any, error: type[MiniError], message: str
) -> None:
    image(liar)
    liar.lies[blob(liar)] = lie(liar)
    with pytest.raises(error, match=message):
        host.pull()
    assert host.kept() == []
    assert host.store.images() == []
    liar.lies.clear()
    assert host.pull() == ["pull"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_broke_off_is_gone_on_with(host: Host, liar: Liar, ranges: bool) -> None:
    content = os.urandom(3 * 2**20)
    image(liar, layer(content))
    raw = liar.blobs[blob(liar)]
    cuts = iter((2**20, 2 * 2**20))

    def cut(request: BaseHTTPRequestHandler) -> bool:
        offered = request.headers.get("range", "") if ranges else ""
        start = int(offered.removeprefix("bytes=").removesuffix("-")) if offered else 0
        end = next(cuts, len(raw))
        headers = {"Content-Length": str(len(raw) - start)}
        headers |= {"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}"} if offered else {}
        return send(request, 206 if offered else 200, raw[start:end], headers)

    liar.lies[blob(liar)] = cut
    assert host.pull() == ["pull"]
    (root,) = host.store.layer_dirs(host.store.resolve(host.name))
    assert Path(root, "file").read_bytes() == content
    offered = [headers.get("range") for _verb, path, headers in liar.asked if path.endswith(blob(liar))]
    assert offered == [None, f"bytes={2**20}-", f"bytes={2 * 2**20}-"]
    assert len(host.pauses) == 2


def test_a_part_from_elsewhere(host: Host, liar: Liar) -> None:
    image(liar)
    raw = liar.blobs[blob(liar)]

    def shifted(request: BaseHTTPRequestHandler) -> bool:
        if "range" not in request.headers:
            return send(request, 200, raw[:100], {"Content-Length": str(len(raw))})
        return send(request, 206, raw[7:], {"Content-Range": f"bytes 7-{len(raw) - 1}/{len(raw)}"})

    liar.lies[blob(liar)] = shifted
    with pytest.raises(BadImage, match="another part"):
        host.pull()
    assert host.kept() == []


@pytest.mark.parametrize("where", ["manifest", "blob"])
@pytest.mark.parametrize("status", [429, 503])
def test_a_registry_that_is_busy_is_asked_again(host: Host, liar: Liar, where: str, status: int) -> None:
    image(liar)
    times = iter(range(2))

    def busy(request: BaseHTTPRequestHandler) -> bool:
        return next(times, None) is not None and send(request, status, b"", {"Retry-After": "7"})

    liar.lies["1" if where == "manifest" else blob(liar)] = busy
    assert host.pull() == ["pull"]
    assert host.pauses == [7, 7]


@pytest.mark.parametrize("where", ["1", "blob"])
def test_silence(host: Host, liar: Liar, where: str) -> None:
    image(liar)
    enough = threading.Event()

    def silent(request: BaseHTTPRequestHandler) -> bool:
        return enough.wait()

    liar.lies[where if where == "1" else blob(liar)] = silent
    try:
        with pytest.raises(RegistryFailed, match="timed out"):
            host.pull(timeout=1)
    finally:
        enough.set()
    assert host.kept() == []
    assert len(host.pauses) == ATTEMPTS - 1


def test_the_first_failure_is_the_one_that_is_told(host: Host, liar: Liar) -> None:
    manifest = image(liar, layer(b"silent"), layer(b"gone"))
    first, second = (item["digest"] for item in manifest["layers"])
    enough = threading.Event()
    liar.lies[first] = lambda _request: enough.wait()
    del liar.blobs[second]
    try:
        with pytest.raises(NotFound, match="not here"):
            host.pull(timeout=1)
    finally:
        enough.set()
    assert len([path for path in liar.paths() if first in path]) < ATTEMPTS
    assert host.kept() == []


def test_a_trickle_is_as_good_as_silence(host: Host, liar: Liar) -> None:
    image(liar)
    raw, enough = liar.blobs[blob(liar)], threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        for number in range(len(raw)):
            try:
                request.wfile.write(raw[number : number + 1])
            except OSError:
                return True
            if enough.wait(0.05):
                return True
        return True

    liar.lies[blob(liar)] = trickle
    try:
        with pytest.raises(RegistryFailed, match="less than 1024 bytes a second"):
            host.pull(timeout=0.5)
    finally:
        enough.set()
    assert host.kept() == []


@pytest.mark.parametrize("which", ["manifest", "configuration"])
def test_documents_that_break_off(host: Host, liar: Liar, which: str) -> None:
    manifest = image(liar)
    digest = liar.tags["1"] if which == "manifest" else manifest["config"]["digest"]
    raw, times = liar.blobs[digest], iter(range(2))

    def cut(request: BaseHTTPRequestHandler) -> bool:
        return next(times, None) is not None and send(request, 200, raw[:50], {"Content-Length": str(len(raw))})

    liar.lies[digest] = cut
    assert host.pull() == ["pull"]
    assert len(host.pauses) == 2
    image(liar, layer(b"new"))
    times = iter(range(100))
    liar.lies = {liar.tags["1"]: lambda request: send(request, 200, b"{", {"Content-Length": "2"})}
    before = host.kept()
    with pytest.raises(RegistryFailed, match="breaks off again and again in manifests/"):
        host.pull()
    assert host.kept() == before


def test_nobody_there(host: Host, liar: Liar) -> None:
    host.name = "127.0.0.1:1/web:1"
    with pytest.raises(RegistryFailed, match="after 5 attempts: .*refused"):
        host.pull()
    assert len(host.pauses) == ATTEMPTS - 1


def depths(liar: Liar, depth: int) -> dict[str, Any]:
    """An index of an index of an index."""
    entry = liar.add(image(liar), MANIFEST)
    for level in range(depth):
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
        entry = liar.add(index, INDEX, "1" if level == depth - 1 else "")
    return entry


def test_indexes_in_indexes(host: Host, liar: Liar) -> None:
    depths(liar, 2)
    assert host.pull() == ["pull"]
    depths(liar, 4)
    with pytest.raises(BadImage, match="indexes that list indexes"):
        host.pull()


@pytest.mark.parametrize(
    ("document", "kind", "message"),
    [
        (b"x" * (4 * 2**20 + 1), MANIFEST, "larger than 4096 KiB"),
        (b"not json", MANIFEST, "not valid JSON"),
        (b"[" * 100000, MANIFEST, "not valid JSON"),
        (b'{"layers": [], "layers": []}', MANIFEST, "not valid JSON"),
        ({"manifests": [], "layers": []}, MANIFEST, "index and a manifest at the same time"),
        ({"mediaType": INDEX, "manifests": []}, MANIFEST, "calls itself"),
        ({"mediaType": MANIFEST, "manifests": []}, "", "no image"),
        ({"mediaType": INDEX, "layers": []}, "", "no image"),
        ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+json", "this decade"),
        (
            {"layers": [], "config": {"mediaType": "x", "size": 1, "digest": "sha256:../x"}},
            MANIFEST,
            "digest cannot",
        ),
        (
            {"layers": [], "config": {"mediaType": CONFIG, "size": 2**40, "digest": NONE}},
            "",
            "more than",
        ),
        ({"manifests": []}, INDEX, "has no image for"),
        ({"layers": [{"mediaType": "x/y", "size": 1, "digest": NONE}]}, MANIFEST, "config has no mediaType"),
    ],
)
def test_a_manifest_that_is_none(host: Host, liar: Liar, document: Any, kind: str, message: str) -> None:
    liar.add(document, kind, "1")
    with pytest.raises(MiniError, match=message):
        host.pull()
    assert host.kept() == []


def test_a_manifest_of_another_digest(host: Host, liar: Liar) -> None:
    image(liar)
    other = liar.tags["1"]
    image(liar, layer(b"other"))
    liar.lies[other] = lambda request: send(request, 200, b"{}", {"Docker-Content-Digest": other})
    liar.tags["1"] = other
    with pytest.raises(BadImage, match="for the manifest"):
        host.pull()
    assert host.kept() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": []}, "1 layers, its manifest 0"),
        ({"config": {"mediaType": CONFIG, "digest": "sha256:" + "1" * 64, "size": 2}}, "not here"),
    ],
)
def test_parts_that_do_not_fit(host: Host, liar: Liar, changes: dict[str, Any], message: str) -> None:
    image(liar, **changes)
    with pytest.raises(MiniError, match=message):
        host.pull()
    assert host.kept() == []


def test_content_that_is_not_what_the_configuration_says(host: Host, liar: Liar) -> None:
    manifest = image(liar)
    manifest["layers"] = [liar.add(layer(b"another"), LAYER)]
    liar.add(manifest, MANIFEST, "1")
    with pytest.raises(BadImage, match="a layer's content is"):
        host.pull()
    assert host.kept() == []


def test_more_than_there_is_room_for(host: Host, liar: Liar) -> None:
    manifest = image(liar)
    manifest["layers"][0]["size"] = 2**60
    liar.add(manifest, MANIFEST, "1")
    with pytest.raises(MiniError, match="has room for"):
        host.pull()
    assert not any("blobs" in path and blob(liar) in path for path in liar.paths())


def challenge(value: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Ask for a login until there is one."""

    def ask(request: BaseHTTPRequestHandler) -> bool:
        return "authorization" not in request.headers and send(request, 401, b"", {"WWW-Authenticate": value})

    return ask


@pytest.mark.parametrize("login", [True, False])
def test_a_token(host: Host, liar: Liar, login: bool) -> None:
    image(liar)
    tokens = iter(("old", "new"))

    def guard(request: BaseHTTPRequestHandler) -> bool:
        name, _question, _query = request.path.partition("?")
        if name == "/token":
            return send(request, 200, json.dumps({"token": next(tokens)}).encode())
        asks = f'Bearer realm="http://{liar.where}/token?a=b",service="here",scope="repository:web:pull"'
        fits = request.headers.get("authorization") == "Bearer new"
        old = request.headers.get("authorization") == "Bearer old" and "manifests/1" in name
        return not fits and not old and send(request, 401, b"", {"WWW-Authenticate": asks})

    liar.lies["*"] = guard
    assert host.pull(login=login) == ["pull"]
    asked = [(path, headers) for _verb, path, headers in liar.asked if path.startswith("/token")]
    assert [path for path, _headers in asked] == ["/token?a=b&service=here&scope=repository%3Aweb%3Apull"] * 2
    assert all(("authorization" in headers) is login for _path, headers in asked)


def test_a_login_goes_to_no_other_host(host: Host, liar: Liar) -> None:
    image(liar)
    with Liar() as storage:
        storage.blobs, storage.types = liar.blobs, liar.types
        target = f"http://{storage.where}/elsewhere/{blob(liar)}?signature=abc"

        def guard(request: BaseHTTPRequestHandler) -> bool:
            if challenge("Basic realm=x")(request):
                return True
            return blob(liar) in request.path and send(request, 307, b"", {"Location": target})

        liar.lies["*"] = guard
        assert host.pull(login=True) == ["pull"]
        assert [path for _verb, path, _headers in storage.asked] == [target.partition(storage.where)[2]]
        assert all("authorization" not in headers and "cookie" not in headers for *_rest, headers in storage.asked)
        # Nor does what that host asks for make us give it one.
        storage.lies["*"] = lambda request: send(request, 401, b"", {"WWW-Authenticate": "Basic realm=give"})
        image(liar, layer(b"new"))
        liar.types = {digest: kind for digest, kind in liar.types.items() if digest != blob(liar)}
        liar.lies["*"] = lambda request: (
            challenge("Basic realm=x")(request)
            or ("blobs" in request.path and send(request, 307, b"", {"Location": target}))
        )
        with pytest.raises(RegistryFailed) as failure:
            host.pull(login=True)
        assert all("authorization" not in headers for *_rest, headers in storage.asked)
        assert "signature" not in str(failure.value)
        assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    ("asks", "message"),
    [
        ("Negotiate", "not known here"),
        ("", "not known here"),
        ('Bearer realm="ftp://x/token"', "cannot be trusted"),
        ('Bearer realm="http://ann:x@127.0.0.1/token"', "cannot be trusted"),
        ("Bearer service=x", "cannot be trusted"),
        ("Basic realm=x", "log in with registry_username"),
    ],
)
def test_challenges(host: Host, liar: Liar, asks: str, message: str) -> None:
    image(liar)
    liar.lies["*"] = challenge(asks)
    with pytest.raises(RegistryFailed, match=message):
        host.pull()


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"token": "a\\nb"}', b'{"token": ""}', b"x" * (2**20 + 1)])
def test_a_token_that_is_none(host: Host, liar: Liar, answer: bytes) -> None:
    image(liar)
    liar.lies["*"] = challenge(f'Bearer realm="http://{liar.where}/token"')
    liar.lies["/token"] = lambda request: send(request, 200, answer)
    with pytest.raises(RegistryFailed, match="token"):
        host.pull()


@pytest.mark.parametrize("where", ["1", "configuration", "layer"])
def test_killed_in_the_middle(host: Host, liar: Liar, where: str) -> None:
    content = os.urandom(2**20)
    manifest = image(liar, layer(content))
    paths = {"1": liar.tags["1"], "configuration": manifest["config"]["digest"], "layer": blob(liar)}
    reached, enough = threading.Event(), threading.Event()

    def stuck(request: BaseHTTPRequestHandler) -> bool:
        if request.command == "GET":
            raw = liar.blobs[paths[where]]
            send(request, 200, raw[:100], {"Content-Length": str(len(raw))})
            reached.set()
            enough.wait()
        return request.command == "GET"

    liar.lies[paths[where]] = stuck
    child = os.fork()
    if not child:
        host.pull()
        os._exit(1)
    assert reached.wait(60)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    enough.set()
    assert host.store.images() == []
    liar.lies.clear()
    assert host.pull() == ["pull", "sweep"]
    assert host.pull() == []
    assert os.listdir(os.path.join(host.paths.layers, "tmp")) == []
    (root,) = host.store.layer_dirs(host.store.resolve(host.name))
    assert Path(root, "file").read_bytes() == content


class Taker:
    """A registry that takes images: what it was sent, and what it was asked to mount."""

    def __init__(self, liar: Liar, *, elsewhere: str = "", mounts: bool = True) -> None:
        self.liar = liar
        self.elsewhere = elsewhere or f"http://{liar.where}"
        self.mounts = mounts
        self.mounted: list[str] = []
        self.sent: dict[str, bytes] = {}
        liar.lies["*"] = self.answer

    def answer(self, request: BaseHTTPRequestHandler) -> bool:
        path, _question, query = request.path.partition("?")
        if request.command == "POST" and query and self.mounts:
            self.mounted.append(query)
            return send(request, 201)
        if request.command == "POST":
            return send(request, 202, b"", {"Location": f"{self.elsewhere}/upload/{len(self.liar.asked)}?state=x"})
        if request.command == "PUT":
            return self.take(request, query if path.startswith("/upload/") else path)
        return False

    def take(self, request: BaseHTTPRequestHandler, key: str) -> bool:
        self.sent[key] = request.rfile.read(int(request.headers["content-length"]))
        return send(request, 201)


def push(host: Host, name: str) -> None:
    """Give the one image that was pulled to another repository, under another name."""
    found = host.store.resolve(host.name)
    session = Session(
        transport(Security(), 30), address(reference.parse(name)), Credentials("ann", SECRET), plain_http=True
    )
    Registry(session).push(host.store, found)


@pytest.mark.parametrize("mounts", [True, False])
def test_pushed_layers_are_mounted_where_that_is_let(host: Host, liar: Liar, mounts: bool) -> None:
    manifest = image(liar)
    host.pull()
    raw, config = liar.blobs[blob(liar)], liar.blobs[manifest["config"]["digest"]]
    liar.blobs = {}
    taker = Taker(liar, mounts=mounts)
    push(host, f"{liar.where}/other:2")
    assert [query.partition("&from=")[2] for query in taker.mounted] == (["web"] if mounts else [])
    wanted = {config, raw} if not mounts else {config}
    assert {data for key, data in taker.sent.items() if key.startswith("state=x&digest=sha256")} == wanted
    (document,) = [data for key, data in taker.sent.items() if key == "/v2/other/manifests/2"]
    assert json.loads(document) == manifest
    assert liar.asked[-1][1] == "/v2/other/manifests/2"


def test_a_push_takes_no_login_elsewhere(host: Host, liar: Liar) -> None:
    image(liar)
    host.pull()
    liar.blobs = {}
    with Liar() as storage:
        taker, there = Taker(liar, elsewhere=f"http://{storage.where}", mounts=False), Taker(storage)
        guarded = taker.answer
        liar.lies["*"] = lambda request: challenge("Basic realm=x")(request) or guarded(request)
        push(host, f"{liar.where}/other:2")
        assert len(there.sent) == 2
        assert all("authorization" not in headers for *_rest, headers in storage.asked)
        assert all("authorization" in headers for verb, _path, headers in liar.asked if verb == "PUT")


def test_the_proxy_of_the_environment(host: Host, liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    image(liar)
    host.name = "registry.invalid:5000/web:1"
    monkeypatch.setenv("http_proxy", f"http://{liar.where}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert host.pull() == ["pull"]
    assert all(path.startswith("http://registry.invalid:5000/v2/web/") for _verb, path, _headers in liar.asked)
    monkeypatch.setenv("no_proxy", "registry.invalid")
    with pytest.raises(RegistryFailed, match=r"^registry\.invalid:5000/web:1: .* not known here by its name"):
        host.pull()
