# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image store has on the disk."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any


def kept(state_root: str) -> list[str]:
    """Every file but the two that a layout consists of, and the reserve for a full disk."""
    return sorted(
        os.path.join(path, name)
        for path, _directories, names in os.walk(state_root)
        for name in names
        if name not in ("oci-layout", "index.json", "reserve")
    )


def fsck(state_root: str) -> None:
    """Every name of the index means an image that is whole, and nothing is there that no image needs."""
    layout, layers, downloads = (os.path.join(state_root, name) for name in ("image", "layer", "download"))
    needed, chains = verified(state_root)
    assert set(os.listdir(layout)) <= {"oci-layout", "index.json", "blobs"}
    assert set(os.listdir(os.path.join(layout, "blobs", "sha256"))) == needed
    assert set(os.listdir(layers)) - {"tmp"} == chains
    assert os.listdir(os.path.join(layers, "tmp")) == []
    assert not os.path.isdir(downloads) or os.listdir(downloads) == []


def verified(state_root: str) -> tuple[set[str], set[str]]:
    """The blobs and the unpacked layers of the images that the index names, each of them looked at."""
    layout, layers = os.path.join(state_root, "image"), os.path.join(state_root, "layer")
    needed: set[str] = set()
    chains: set[str] = set()
    if not os.path.exists(os.path.join(layout, "index.json")):
        return needed, chains
    for entry in _document(os.path.join(layout, "index.json"))["manifests"]:
        manifest = _document(_blob(layout, entry, needed))
        config = _document(_blob(layout, manifest["config"], needed))
        for layer in manifest["layers"]:
            _blob(layout, layer, needed)
        assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])
        chain = ""
        for diff_id in config["rootfs"]["diff_ids"]:
            chain = f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}" if chain else diff_id
            chains.add(chain.rpartition(":")[2])
    for chain in chains:
        assert os.path.isdir(os.path.join(layers, chain)), chain
    return needed, chains


def _document(path: str) -> Any:
    with open(path, "rb") as handle:
        return json.load(handle)


def _blob(layout: str, descriptor: Any, needed: set[str]) -> str:
    digest = descriptor["digest"].removeprefix("sha256:")
    path = os.path.join(layout, "blobs", "sha256", digest)
    with open(path, "rb") as handle:
        content = handle.read()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (descriptor["size"], digest), path
    needed.add(digest)
    return path
