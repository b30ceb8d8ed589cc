# SPDX-License-Identifier: GPL-3.0-or-later
"""A kill at each call that changes something, and a disk that fills: the store is whole, and the next run ends it.

After the kill every name means an image that is there to its last byte. After the next run nothing else is there.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.images import export as exports
from ansible_collections.mini.containers.plugins.module_utils.engine.prune import converge as pruning
from ansible_collections.mini.containers.plugins.module_utils.glue.image import export_spec, image_spec
from ansible_collections.mini.containers.plugins.module_utils.glue.prune import wanted
from ansible_collections.mini.containers.plugins.module_utils.glue.registry import ANONYMOUS, connection
from ansible_collections.mini.containers.plugins.module_utils.image import platform
from imagehost import Host, rootfs
from rawtar import archive, member
from registries import MANIFEST, Liar

from ..forking import killed_at

CHANGES = ("rename", "replace", "unlink", "link", "mkdir", "fsync", "rmdir", "symlink")
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


class Site:
    """A host with the image `base:1`, the container `c` on it, and a registry with another image."""

    def __init__(self, directory: Path, layout: Path, liar: Liar) -> None:
        self.host = Host(directory)
        self.paths = self.host.paths
        self.layout = layout
        self.liar = liar
        self.out = directory / "out"
        self.out.mkdir()
        layer = liar.add(archive(member("file", data=os.urandom(2**18))), LAYER)
        parts = {"type": "layers", "diff_ids": [layer["digest"]]}
        config = liar.add({"os": "linux", "architecture": platform.host().architecture, "rootfs": parts}, CONFIG)
        liar.add({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}, MANIFEST, "1")

    def prepare(self) -> None:
        """What all operations begin with."""
        self.host.image("base:1", src=str(self.host.tar))
        record = self.host.container(self.host.find("base:1"))
        Path(self.paths.container(record.id, "upper"), "new").write_text("new")
        self.host.image("old:1", src=str(self.host.tar), user="7")
        self.host.tar.write_bytes(rootfs(b"changed"))

    def pull(self) -> Any:
        name = image_spec({"name": f"{self.liar.where}/web:1"})
        params = {**ANONYMOUS, "plain_http": True}
        return converge.ensure(self.paths, name, connect=connection(params, name.reference)).plan

    def export(self) -> Any:
        names = ["base:1", "old:1"]
        return exports.export(self.paths, export_spec({"names": names, "path": str(self.out / "a.tar")})).plan


UNUSED = {"images": True, "images_filters": {"dangling": False}}
OPERATIONS: dict[str, Callable[[Site], Any]] = {
    "import": lambda site: site.host.image("old:1", src=str(site.host.tar)).plan,
    "load": lambda site: site.host.image("loaded:1", load_path=str(site.layout)).plan,
    "pull": Site.pull,
    "commit": lambda site: site.host.image("made:1", from_container="c", author="Ann").plan,
    "configure": lambda site: site.host.image("old:1", user="8").plan,
    "tag": lambda site: converge.tag(site.paths, "base:1", ("old:1", "new:1"), "overwrite").plan,
    "remove": lambda site: converge.remove(site.paths, "old:1").plan,
    "prune": lambda site: (
        pruning.prune(site.paths, wanted({"images": True, "images_filters": {"dangling": False}})).plan
    ),
    "export": Site.export,
}


@pytest.fixture
def site(tmp_path: Path, layout: Path, liar: Liar) -> Iterator[Site]:
    """On a small file system of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", directory], check=True)
    try:
        yield Site(directory, layout, liar)
        gc.collect()  # a failure may hold what it has opened
    finally:
        subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_each_change(site: Site, operation: str, tmp_path: Path) -> None:
    """At each of the first ten, and then at some: an unpacked layer has many files."""
    site.prepare()
    shutil.copytree(site.paths.state_root, tmp_path / "start", symlinks=True)
    calls = 0
    while killed_at(calls, CHANGES, partial(OPERATIONS[operation], site)):
        storefiles.verified(site.paths.state_root)
        OPERATIONS[operation](site)
        assert not OPERATIONS[operation](site)
        site.host.image("last:1", src=str(site.host.tar))
        site.host.image("last:1", "absent")
        storefiles.fsck(site.paths.state_root)
        assert [name for name in os.listdir(site.out) if name.endswith(".tmp")] == []
        for path in (site.paths.state_root, site.out):
            shutil.rmtree(path)
        site.out.mkdir()
        shutil.copytree(tmp_path / "start", site.paths.state_root, symlinks=True)
        calls += 1 if calls < 10 else 4
    assert calls > 2


@pytest.mark.parametrize("operation", ["import", "load", "pull", "commit", "configure", "tag"])
def test_a_disk_that_fills(site: Site, operation: str) -> None:
    """With a little more room each time, until it is enough."""
    site.prepare()
    filler, failures, room = site.out / "filler", 0, 0
    while True:
        free = os.statvfs(site.out)
        filler.write_bytes(bytes(max(free.f_bavail * free.f_bsize - room, 0)))
        try:
            OPERATIONS[operation](site)
            break
        except (MiniError, OSError):
            failures += 1
            storefiles.verified(site.paths.state_root)
        filler.unlink()
        room = room * 3 // 2 + 4096
    filler.unlink()
    assert failures
    assert not OPERATIONS[operation](site)
    site.host.image("last:1", src=str(site.host.tar))
    site.host.image("last:1", "absent")
    storefiles.fsck(site.paths.state_root)
