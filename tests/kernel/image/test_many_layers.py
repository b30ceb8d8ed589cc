# SPDX-License-Identifier: GPL-3.0-or-later
"""An image may have as many layers as overlayfs stacks: their paths fill more than the page that mount(2) takes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.specs.image import ImageConfig
from ansible_collections.mini.containers.plugins.module_utils.engine.images import export as exports
from ansible_collections.mini.containers.plugins.module_utils.glue.image import export_spec
from ansible_collections.mini.containers.plugins.module_utils.image.intake import take_in
from ansible_collections.mini.containers.plugins.module_utils.image.manifest import MAX_LAYERS
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore
from ansible_collections.mini.containers.plugins.module_utils.image.workspace import Workspace
from ansible_collections.mini.containers.plugins.module_utils.image.writer import ImageWriter, image_document
from ansible_collections.mini.containers.plugins.module_utils.linux import overlay
from rawtar import archive, member


def stack(host: Any, rootfs: Path, number: int) -> None:
    """The image `many`: a root file system, and a file in each of the layers above."""
    packed = subprocess.run(["tar", "-cC", rootfs, "."], check=True, capture_output=True).stdout
    tars = [packed, *(archive(member(f"f{n}", data=b"x")) for n in range(1, number))]
    store = ImageStore(host.paths)
    with Workspace(host.paths) as work, store.locked():
        layers = []
        for raw in tars:
            Path(host.directory, "layer.tar").write_bytes(raw)
            with open(host.directory / "layer.tar", "rb", buffering=0) as handle:
                layers.append(take_in(handle, work))
        ids, blobs = tuple(one.diff_id for one in layers), tuple(one.descriptor for one in layers)
        document = image_document(ImageConfig(env={"PATH": "/bin"}), ids, "", (), None)
        writer = ImageWriter(store)
        writer.name(writer.add(document, blobs, layers), "many:latest")


@pytest.mark.parametrize("number", [60, MAX_LAYERS - 1])
def test_it_runs(host: Any, rootfs: Path, number: int) -> None:
    stack(host, rootfs, number)
    finished = host.run(["sh", "-c", "ls / | grep -c ^f; touch /f1"], image="many")
    assert finished.stdout.split() == [str(number - 1)]
    before = os.getcwd()
    spec = export_spec({"names": ["many"], "kind": "rootfs", "path": str(host.directory / "a.tar")})
    assert exports.export(host.paths, spec).plan
    assert not exports.export(host.paths, spec).plan
    assert os.getcwd() == before
    names = subprocess.run(["tar", "-tf", host.directory / "a.tar"], check=True, capture_output=True).stdout.split()
    assert len([name for name in names if name.startswith(b"f")]) == number - 1


@pytest.mark.parametrize("path", ["/a", "/a,b", "/a:b", "/a\\b", "/a\\", "/,:\\,"])
def test_paths_with_what_overlayfs_splits_at(path: str) -> None:
    data = overlay.overlay_data(["/x", path], "/u", "/w")
    assert overlay._lower(data) == [path, "/x"]
