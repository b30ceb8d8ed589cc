# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that somebody else wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadImage
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.image import manifest, media
from ansible_collections.mini.containers.plugins.module_utils.image.document import parse
from ansible_collections.mini.containers.plugins.module_utils.image.manifest import (
    Descriptor,
    History,
    ImageDocument,
    Manifest,
    chain_ids,
)
from ansible_collections.mini.containers.plugins.module_utils.image.media import CONFIG, LAYER, MANIFEST

DIGEST = "sha256:" + "a" * 64
CONFIGURED = ImageConfig(
    command=("sh", "-c", "x y"),
    entrypoint=("/init",),
    env={"PATH": "/bin", "EMPTY": ""},
    working_dir="/srv",
    user="1000:10",
    labels={"a": "b"},
    exposed_ports=("53/udp", "80/tcp"),
    volumes=("/data",),
    stop_signal="SIGINT",
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xff\xfe{\0}\0",
        b'{"a":' + b"9" * 30 + b"}",
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b" " * (4 * 2**20 + 1),
    ],
)
def test_not_a_document(raw: bytes) -> None:
    with pytest.raises(BadImage):
        parse(raw, "test")


def _plain_manifest(**changes: Any) -> bytes:
    config = {"mediaType": CONFIG, "digest": DIGEST, "size": 2}
    layer = {"mediaType": LAYER, "digest": DIGEST, "size": 3}
    plain = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], **changes}
    return json.dumps(plain).encode()


def test_manifest_survives() -> None:
    value = Manifest(Descriptor(CONFIG, DIGEST, 2), (Descriptor(LAYER, DIGEST, 3),))
    assert Manifest.read(value.encode(), "test") == value == Manifest.read(_plain_manifest(), "test")


@pytest.mark.parametrize(
    "changes",
    [
        {"mediaType": media.INDEX},
        {"mediaType": "application/vnd.docker.distribution.manifest.v1+json"},
        {"manifests": []},
        {"manifests": [], "layers": None},
        {"config": None},
        {"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 2}},
        {"layers": {"a": 1}},
        {"layers": [7]},
        {"layers": [{"mediaType": LAYER, "digest": "sha256:../../etc/passwd", "size": 1}]},
        {"layers": [{"mediaType": LAYER, "digest": "sha256:" + "A" * 64, "size": 1}]},
        {"layers": [{"mediaType": LAYER, "digest": DIGEST, "size": -1}]},
        {"layers": [{"mediaType": LAYER, "digest": DIGEST, "size": True}]},
        {"layers": [{"mediaType": LAYER, "digest": DIGEST, "size": 1.5}]},
        {"layers": [{"mediaType": "text/plain", "digest": DIGEST, "size": 1}]},
        {"layers": [{"mediaType": LAYER, "digest": DIGEST, "size": 1}] * 501},
    ],
)
def test_not_a_manifest(changes: dict[str, Any]) -> None:
    with pytest.raises(BadImage):
        Manifest.read(_plain_manifest(**changes), "test")


def test_image_survives() -> None:
    value = ImageDocument("arm64", "linux", "2024-01-01T00:00:00Z", CONFIGURED, (DIGEST,), (History("x", "import"),))
    assert ImageDocument.read(value.encode(), "test") == value
    assert value.encode() == ImageDocument.read(value.encode(), "test").encode()


def _plain_image(config: Any = None, **changes: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [DIGEST]}
    plain = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs, **changes}
    return json.dumps(plain).encode()


def test_what_engines_write() -> None:
    config = {
        "Env": ["PATH=/bin", "NOTHING", "=x", "*", "A=b=c"],
        "Cmd": None,
        "User": None,
        "Volumes": None,
        "Tty": True,
    }
    assert ImageDocument.read(_plain_image(config), "test").config == ImageConfig(env={"PATH": "/bin", "A": "b=c"})
    assert ImageDocument.read(_plain_image(), "test").config == ImageConfig()


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"Env": "PATH=/bin"},
        {"Env": [1]},
        {"Cmd": "sh"},
        {"Cmd": [None]},
        {"User": ["root"]},
        {"User": 0},
        {"ExposedPorts": ["80"]},
        {"Labels": {"a": 1}},
        {"Labels": []},
        {"Entrypoint": ["a\0b"]},
        {"WorkingDir": {}},
        {"Labels": {"a": "\ud800"}},
        {"Volumes": {"\ud800": {}}},
    ],
)
def test_not_a_config(config: Any) -> None:
    with pytest.raises(BadImage):
        ImageDocument.read(_plain_image(config), "test")


@pytest.mark.parametrize(
    "changes",
    [
        {"rootfs": None},
        {"rootfs": {"type": "x"}},
        {"rootfs": {"type": "layers", "diff_ids": ["x"]}},
        {"os": None},
        {"history": [1]},
    ],
)
def test_not_an_image(changes: dict[str, Any]) -> None:
    with pytest.raises(BadImage):
        ImageDocument.read(_plain_image(**changes), "test")


def test_chain_ids() -> None:
    # Computed with: printf '%s %s' <first> <second> | sha256sum
    first, second = chain_ids((DIGEST, DIGEST))
    assert first == DIGEST
    assert second == manifest.sha256(f"{DIGEST} {DIGEST}".encode())
    assert chain_ids(()) == ()
