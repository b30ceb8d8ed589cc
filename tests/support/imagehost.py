# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which images are made of a small root file system, and containers that stand on them without running."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.mini.containers.plugins.module_utils.core.names import new_id
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.container import ContainerSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.record import ContainerRecord
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.engine.records import save
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore, StoredImage
from rawtar import archive, member, pax

BUSYBOX = "/bin/busybox"


class Host:
    """A state root of its own, and short words for what is done on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.paths = Paths(str(directory / "state"), str(directory / "run"))
        self.store = ImageStore(self.paths)
        self.tar = directory / "root.tar"
        self.tar.write_bytes(rootfs())

    def image(self, name: str = "web", state: str = "present", **options: Any) -> Any:
        """What the task does; `check`, `force` and `observer` as there."""
        if state == "absent":
            return converge.remove(self.paths, name, **options)
        extra = {key: options.pop(key) for key in ("check", "observer") if key in options}
        return converge.ensure(self.paths, image_spec({"name": name, **options}), **extra)

    def actions(self, *names: str, **options: Any) -> list[str]:
        """The steps of a task."""
        return [step.name for step in self.image(*names, **options).plan]

    def find(self, name: str = "web") -> StoredImage:
        """The image."""
        found = self.store.find(name)
        assert found is not None
        return found

    def container(self, image: StoredImage, name: str = "c", **fields: Any) -> ContainerRecord:
        """A container that stands on an image; nothing runs."""
        spec = ContainerSpec(name=name, image=image.references[0], **fields)
        record = ContainerRecord(new_id(), name, "", spec, image.id, image.layers, image.config, complete=True)
        os.makedirs(self.paths.container(record.id, "upper"))
        os.makedirs(self.paths.names, exist_ok=True)
        os.symlink(f"../container/{record.id}", self.paths.name(name))
        save(record, self.paths.container_record(record.id))
        return record

    def remove_container(self, record: ContainerRecord) -> None:
        """Without a trace."""
        os.unlink(self.paths.name(record.name))
        shutil.rmtree(self.paths.container(record.id))

    def kept(self) -> list[str]:
        """Every blob, layer and unfinished thing."""
        roots = (self.paths.layers, os.path.join(self.paths.image_layout, "blobs", "sha256"))
        names = [os.path.join(root, name) for root in roots if os.path.isdir(root) for name in os.listdir(root)]
        unfinished = os.path.join(self.paths.layers, "tmp")
        return sorted(
            name
            for name in [*names, *(os.listdir(unfinished) if os.path.isdir(unfinished) else [])]
            if name != unfinished
        )


def rootfs(extra: bytes = b"") -> bytes:
    """A small real root file system."""
    return archive(
        member("./", b"5", mode=0o755),
        member("./bin/", b"5", mode=0o755),
        member("./bin/busybox", data=Path(BUSYBOX).read_bytes(), mode=0o755),
        member("./bin/sh", b"2", link="busybox"),
        member("./bin/ls", b"1", link="./bin/busybox"),
        member("./tmp/", b"5", mode=0o1777),
        member("./etc/", b"5", mode=0o755),
        member("./etc/passwd", data=b"root:x:0:0::/:/bin/sh\n" + extra),
        pax({"path": "./etc/" + "long" * 40, "mtime": "1700000000.5"}) + member("x", data=b"y", uid=1000, gid=2**20),
    )
