# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry that wastes our time, our memory or our login, where the answer is not even a lie yet."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage, MiniError, RegistryFailed
from ansible_collections.mini.containers.plugins.module_utils.image.registry.session import ATTEMPTS
from registries import MANIFEST, Liar, send

from .test_registry_lies import LAYER, NONE, SECRET, Host, blob, challenge, image, layer


@pytest.fixture
def there(tmp_path: Path, liar: Liar) -> Host:
    return Host(tmp_path, liar)


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
def test_a_head_without_an_end(there: Host, liar: Liar, where: str, first: bytes, again: bytes, pause: float) -> None:
    image(liar)
    enough = threading.Event()
    liar.lies["1" if where == "1" else blob(liar)] = pieces(first, again, pause, enough)
    try:
        with pytest.raises(MiniError):
            there.pull(timeout=0.2)
    finally:
        enough.set()
    assert there.kept() == []
    assert len(there.pauses) <= ATTEMPTS
    liar.lies.clear()
    assert there.pull() == ["pull"]


def test_a_body_that_would_expand(there: Host, liar: Liar) -> None:
    """It is what it is: nothing is expanded on the way."""
    image(liar)
    bomb = gzip.compress(bytes(2**26))
    for name in ("1", blob(liar)):
        liar.lies = {name: lambda request: send(request, 200, bomb, {"Content-Encoding": "gzip"})}
        with pytest.raises(MiniError):
            there.pull()
        assert there.kept() == []


def test_a_blob_that_changes_while_it_comes(there: Host, liar: Liar) -> None:
    image(liar, layer(os.urandom(2**20)))
    raw = liar.blobs[blob(liar)]

    def changing(request: BaseHTTPRequestHandler) -> bool:
        if "range" in request.headers:
            start = int(request.headers["range"][6:-1])
            return send(
                request, 206, bytes(len(raw) - start), {"Content-Range": f"bytes {start}-{len(raw) - 1}/{len(raw)}"}
            )
        return send(request, 200, raw[: 2**19], {"Content-Length": str(len(raw))})

    liar.lies[blob(liar)] = changing
    with pytest.raises(BadImage, match="sent sha256:"):
        there.pull()
    assert there.kept() == []
    liar.lies.clear()
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
def test_places_that_nothing_is_fetched_from(there: Host, liar: Liar, where: str, target: str) -> None:
    image(liar)
    location = f"http://{target}" if target else "gopher://127.0.0.1/"
    liar.lies["1" if where == "1" else blob(liar)] = lambda request: send(request, 302, b"", {"Location": location})
    with pytest.raises(RegistryFailed, match="where nothing is fetched from"):
        there.pull()


def test_urls_of_a_layer_are_not_looked_at(there: Host, liar: Liar) -> None:
    manifest = image(liar)
    with Liar() as elsewhere:
        manifest["layers"][0]["urls"] = [f"http://{elsewhere.where}/layer"]
        liar.add(manifest, MANIFEST, "1")
        assert there.pull(login=True) == ["pull"]
        assert elsewhere.asked == []
        manifest["layers"][0] = {"mediaType": LAYER, "digest": NONE, "size": 9, "urls": manifest["layers"][0]["urls"]}
        liar.add(manifest, MANIFEST, "1")
        with pytest.raises(MiniError):
            there.pull(login=True)
        assert elsewhere.asked == []


def test_where_a_token_is_asked_for(there: Host, liar: Liar) -> None:
    """The server of tokens may be another one, as Docker's own is, and gets the login; whom it sends on to does not."""
    image(liar)
    with Liar() as tokens, Liar() as further:
        liar.lies["*"] = challenge(f'Bearer realm="http://{tokens.where}/token"')
        tokens.lies["*"] = lambda request: send(request, 307, b"", {"Location": f"http://{further.where}/token"})
        further.lies["*"] = lambda request: send(request, 200, json.dumps({"token": "abc"}).encode())
        assert there.pull(login=True) == ["pull"]
        assert {"authorization" in headers for *_rest, headers in tokens.asked} == {True}
        assert {"authorization" in headers for *_rest, headers in further.asked} == {False}
        sent = {headers.get("authorization", "") for _verb, _path, headers in liar.asked}
        assert sent == {"", "Bearer abc"}
        assert SECRET not in str(liar.asked)
