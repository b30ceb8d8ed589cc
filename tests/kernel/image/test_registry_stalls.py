# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that wastes our time, our memory or our login, where the answer is not even a lie yet."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, MiniError, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.image.registry.session import ATTEMPTS
from registries import MANIFEST, Liar, send

from .test_registry_lies import LAYER, NONE, SECRET, Host, blob, challenge, image, layer


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Liar() as found:
        yield found


@pytest.fixture
def there(tmp_path: Path, registry: Liar) -> Host:
    return Host(tmp_path, registry)


def pieces(
    first: bytes, again: bytes, pause: float, enough: threading.Event
) -> Callable[[BaseHTTPRequestHandler], bool]:
    """An answer that begins and never ends: no headers but those that it is made of."""

    def answer(request: BaseHTTPRequestHandler) -> bool:
        try:
            request.wfile.write(first)
            while not enough.wait(pause):
                request.wfile.write(again)
        except OSError:
            pass  # whoever asked had enough
        return True

    return answer


@pytest.mark.parametrize("where", ["1", "layer"])
@pytest.mark.parametrize(
    ("first", "again", "pause"),
    [
        (b"", b"H", 0.05),
        (b"HTTP/1.1 200 OK\r\n", b"X", 0.05),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 2**16, 0),
        (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", 0),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
        (b"SSH-2.0-OpenSSH\r\n", b"x", 0),
    ],
    ids=["a trickle", "a trickle of a header", "an endless line", "endless headers", "soon", "another protocol"],
)
def test_a_head_without_an_end(
    there: Host, registry: Liar, where: str, first: bytes, again: bytes, pause: float
) -> None:
    image(registry)
    enough = threading.Event()
    registry.lies["1" if where == "1" else blob(registry)] = pieces(first, again, pause, enough)
    try:
        with pytest.raises(MiniError):
            there.pull(timeout=0.2)
    finally:
        enough.set()
    assert there.kept() == []
    assert len(there.pauses) <= ATTEMPTS
    registry.lies.clear()
    assert there.pull() == ["pull"]


def test_a_body_that_would_expand(there: Host, registry: Liar) -> None:
    """It is what it is: nothing is expanded on the way."""
    image(registry)
    bomb = gzip.compress(bytes(2**26))
    for name in ("1", blob(registry)):
        registry.lies = {name: lambda request: send(request, 200, bomb, {"Content-Encoding": "gzip"})}
        with pytest.raises(MiniError):
            there.pull()
        assert there.kept() == []


def test_a_blob_that_changes_while_it_comes(there: Host, registry: Liar) -> None:
    image(registry, layer(os.urandom(2**20)))
    raw = registry.blobs[blob(registry)]

    def changing(request: BaseHTTPRequestHandler) -> bool:
        if "range" in request.headers:
            start = int(request.headers["range"][6:-1])
            return send(
                request, 206, bytes(len(raw) - start), {"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}"}
            )
        return send(request, 200, raw[: 2**19], {"Content-Length": str(len(raw))})

    registry.lies[blob(registry)] = changing
    with pytest.raises(BadImage, match="sent sha256:"):
        there.pull()
    assert there.kept() == []
    registry.lies.clear()
    assert there.pull() == ["pull"]


@pytest.mark.parametrize(
    "target",
    [
        "169.254.169.254/latest/meta-data/",
        "2852039166/x",
        "[::ffff:169.254.169.254]/x",
        "[fe80::1]/x",
        "ann:x@127.0.0.1/x",
        "127.0.0.1:99999/x",
        "",
    ],
)
@pytest.mark.parametrize("where", ["1", "layer"])
def test_places_that_nothing_is_fetched_from(there: Host, registry: Liar, where: str, target: str) -> None:
    image(registry)
    location = f"http://{target}" if target else "gopher://127.0.0.1/"
    registry.lies["1" if where == "1" else blob(registry)] = lambda request: send(
        request, 302, b"", {"Location": location}
    )
    with pytest.raises(RegistryFailed, match="where nothing is fetched from"):
        there.pull()


def test_urls_of_a_layer_are_not_looked_at(there: Host, registry: Liar) -> None:
    manifest = image(registry)
    with Liar() as elsewhere:
        manifest["layers"][0]["urls"] = [f"http://{elsewhere.where}/layer"]
        registry.add(manifest, MANIFEST, "1")
        assert there.pull(login=True) == ["pull"]
        assert elsewhere.asked == []
        manifest["layers"][0] = {"mediaType": LAYER, "digest": NONE, "size": 9, "urls": manifest["layers"][0]["urls"]}
        registry.add(manifest, MANIFEST, "1")
        with pytest.raises(MiniError):
            there.pull(login=True)
        assert elsewhere.asked == []


def test_where_a_token_is_asked_for(there: Host, registry: Liar) -> None:
    """The server of tokens may be another one, as Docker's own is, and gets the login; whom it sends on to does not."""
    image(registry)
    with Liar() as tokens, Liar() as further:
        registry.lies["*"] = challenge(f'Bearer realm="http://{tokens.where}/token"')
        tokens.lies["*"] = lambda request: send(request, 307, b"", {"Location": f"http://{further.where}/token"})
        further.lies["*"] = lambda request: send(request, 200, json.dumps({"token": "abc"}).encode())
        assert there.pull(login=True) == ["pull"]
        assert {"authorization" in headers for *_rest, headers in tokens.asked} == {True}
        assert {"authorization" in headers for *_rest, headers in further.asked} == {False}
        sent = {headers.get("authorization", "") for _verb, _path, headers in registry.asked}
        assert sent == {"", "Bearer abc"}
        assert SECRET not in str(registry.asked)
