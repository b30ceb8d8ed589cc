# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for tests: Debian's, which is honest, and one that tells whatever lies a test wants it to."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def certificates(directory: Path) -> dict[str, Path]:
    """An authority, a certificate of it for 127.0.0.1, and one for a client."""
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    _openssl("req", "-x509", "-subj", "/CN=test authority", "-days", "2", "-keyout", ca_key, "-out", ca)
    found = {"ca": ca}
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
        key, request, certificate = (directory / f"{name}.{end}" for end in ("key", "csr", "pem"))
        (directory / f"{name}.ext").write_text(extension)
        _openssl("req", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        subprocess.run(
            ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2"]
            + ["-extfile", directory / f"{name}.ext", "-out", certificate],
            check=True,
            capture_output=True,
        )
        found |= {name: certificate, f"{name}_key": key}
    return found


def _openssl(*arguments: Any) -> None:
    command = [
        "openssl",
        arguments[0],
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        *arguments[1:],
    ]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def debian(
    directory: Path, tls: Mapping[str, Path] | None = None, *, user: str = "", clients: bool = False
) -> Iterator[str]:
    """`docker-registry` on a free port of the loopback; its `host:port`. `user` is `name:password`."""
    directory.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
    http: dict[str, Any] = {"addr": where}
    config = {"version": "0.1", "storage": {"filesystem": {"rootdirectory": str(directory)}}, "http": http}
    if tls:
        http["tls"] = {"certificate": str(tls["server"]), "key": str(tls["server_key"])}
        http["tls"] |= {"clientcas": [str(tls["ca"])]} if clients else {}
    if user:
        name, _colon, password = user.partition(":")
        made = subprocess.run(["htpasswd", "-Bbn", name, password], check=True, capture_output=True)
        (directory / "htpasswd").write_bytes(made.stdout)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
    (directory / "config.yml").write_text(json.dumps(config))  # which is YAML
    with open(directory / "log", "wb") as log:
        command = ["docker-registry", "serve", str(directory / "config.yml")]
        server = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": "/nowhere"})
        try:
            _wait(where, server, directory / "log")
            yield where
        finally:
            server.kill()
            server.wait()


def _wait(where: str, server: subprocess.Popen[bytes], log: Path) -> None:
    host, _colon, port = where.partition(":")
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


class Liar:
    """A registry that has one image, and a list of lies. `lies` gives the path's last parts another answer."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.lies: dict[str, Callable[[BaseHTTPRequestHandler], bool]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                registry.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.where = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Liar:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, content: bytes | Mapping[str, Any], media_type: str = "", tag: str = "") -> dict[str, Any]:
        """A blob, or a document, perhaps with a tag; its descriptor."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        self.blobs[digest], self.types[digest] = raw, media_type
        if tag:
            self.tags[tag] = digest
        return {"mediaType": media_type, "digest": digest, "size": len(raw)}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """The lie, if there is one for the path; the truth otherwise."""
        sent = {key.lower(): value for key, value in request.headers.items()}
        self.asked.append((request.command, request.path, sent))
        name = request.path.partition("?")[0].rpartition("/")[2]
        for key in (name, request.path.partition("?")[0], "*"):
            if key in self.lies and self.lies[key](request):
                return
        digest = self.tags.get(name, name)
        if digest not in self.blobs:
            send(request, 404, b'{"errors": [{"code": "UNKNOWN", "message": "not here"}]}')
            return
        headers = {"Docker-Content-Digest": digest, "Content-Type": self.types[digest] or "application/octet-stream"}
        raw, offered = self.blobs[digest], request.headers.get("range", "")
        if offered:
            start = int(offered.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(raw) - 1}/{len(raw)}"
            send(request, 206, raw[start:], headers)
        else:
            send(request, 200, raw, headers)

    def paths(self, method: str = "GET") -> list[str]:
        """What was asked for, without the common beginning."""
        return [path.partition("/v2/")[2] or path for verb, path, _headers in self.asked if verb == method]


def send(
    request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> bool:
    """A whole answer; the length may be another than the body's."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        with suppress(OSError):  # whoever asked had enough
            request.wfile.write(body)
    return True


def put(where: str, path: str, document: Mapping[str, Any], media_type: str) -> None:
    """A document into Debian's registry, which no tool here writes."""
    from urllib.request import Request

    raw = json.dumps(document).encode()
    request = Request(f"http://{where}/v2/{path}", raw, {"Content-Type": media_type}, method="PUT")
    urlopen(request, timeout=60).close()
