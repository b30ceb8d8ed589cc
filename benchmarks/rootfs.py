# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system that every engine starts: the static busybox of the distribution."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

BUSYBOX = "/bin/busybox"
COMMANDS = ("sh", "sleep", "true")


def make(directory: Path) -> Path:
    """The tree below `directory`."""
    root = directory / "rootfs"
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy2(BUSYBOX, root / "bin" / "busybox")
    for name in COMMANDS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    return root


def pack(root: Path) -> Path:
    """The same as a tar file."""
    packed = root.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        archive.add(root, arcname=".")
    return packed
