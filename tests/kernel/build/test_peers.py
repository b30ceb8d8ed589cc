# SPDX-License-Identifier: GPL-3.0-or-later
"""The same Containerfiles, built by buildah and by us, give the same trees and the same configuration."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .cases import CASES, Case

NEEDED = ("buildah", "skopeo", "umoci")
# What buildah's own runtime leaves in an image, and an image has from its engine.
LEFT = ("dev", "proc", "sys", "run", "etc/hosts", "etc/resolv.conf", "etc/hostname")
LISTS = ("Cmd", "Entrypoint", "Shell", "OnBuild", "Healthcheck")


class Buildah:
    """buildah, with a storage of its own, in which is the image `box`."""

    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.directory = directory
        storage = ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
        # It keeps its caches in the directory for temporary files.
        self.command = ["env", f"TMPDIR={directory}", "buildah", *storage]
        layout, bundle = directory / "box", directory / "bundle"
        _run("umoci", "init", "--layout", layout)
        _run("umoci", "new", "--image", f"{layout}:box")
        _run("umoci", "unpack", "--image", f"{layout}:box", bundle)
        _run("cp", "-a", f"{rootfs}/.", bundle / "rootfs")
        _run("umoci", "repack", "--image", f"{layout}:box", bundle)
        _run("umoci", "config", "--image", f"{layout}:box", "--config.env", "PATH=/bin")
        _run("skopeo", "copy", f"oci:{layout}:box", f"containers-storage:[vfs@{directory}/root+{directory}/run]box")

    def build(self, context: Path, case: Case, layout: Path) -> Any:
        """The image, as `peer` in the layout; its document."""
        options = [f"--build-arg={name}={value}" for name, value in case.options.get("args", {}).items()]
        options += [f"--target={case.options['target']}"] if "target" in case.options else []
        command = [*self.command, "bud", "--isolation", "chroot", "--pull=never", "--format=docker"]
        _run(*command, "--network=host", *options, "-t", "peer", "-f", context / "Containerfile", context)
        _run(*self.command, "push", "peer", f"oci:{layout}:peer")
        return json.loads(_run(*self.command, "inspect", "--type=image", "peer"))["Docker"]


def _run(*command: Any) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory, rootfs: Path) -> Iterator[Buildah]:
    missing = [name for name in NEEDED if shutil.which(name) is None]
    assert not missing, f"install {', '.join(missing)}: images are compared with those that others build"
    directory = tmp_path_factory.mktemp("buildah")
    yield Buildah(directory, rootfs)
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", CASES)
def test_the_same_image(name: str, builder: Any, buildah: Buildah, tmp_path: Path) -> None:
    case = CASES[name]
    for path, content in case.files.items():
        place = builder.context / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str) and content.startswith("->"):
            place.symlink_to(content[2:])
        else:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
    for path in sorted(builder.context.rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    builder.build(case.text.lstrip("\n"), **case.options)
    assert builder.actions(**case.options) == []
    layout = tmp_path / "layout"
    document = buildah.build(builder.context, case, layout)
    _run("skopeo", "copy", f"oci:{builder.paths.image_layout}:made:latest", f"oci:{layout}:ours")
    ours, peers = (_unpacked(layout, which, tmp_path / which) for which in ("ours", "peer"))
    assert ours == peers
    ours = json.loads(_run("skopeo", "inspect", "--raw", "--config", f"oci:{layout}:ours"))
    assert _config(ours) == _config(document)
    for volume in ("build-cache-",):
        for one in Path(builder.paths.volumes).glob(f"{volume}*"):
            shutil.rmtree(one)


def _unpacked(layout: Path, image: str, bundle: Path) -> dict[str, tuple[Any, ...]]:
    """Each path with all that can be seen of it. Times count where they are those of files that were copied."""
    _run("umoci", "unpack", "--image", f"{layout}:{image}", bundle)
    root, found = bundle / "rootfs", {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.split("/", maxsplit=1)[0] not in LEFT and name not in LEFT:
            found[name] = _look(path)
    shutil.rmtree(bundle)
    return found


def _look(path: Path) -> tuple[Any, ...]:
    look = path.lstat()
    content: Any = None
    if stat.S_ISLNK(look.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(look.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:12] + path.read_bytes()[:40].decode(errors="replace")
    copied = look.st_mtime == 1_000_000_000 and not path.is_dir()
    return f"{look.st_mode:o}", look.st_uid, look.st_gid, content, copied


def _config(document: dict[str, Any]) -> dict[str, Any]:
    """The configuration, spelled in one way."""
    config = document["config"]
    labels = {key: value for key, value in (config.get("Labels") or {}).items() if not key.startswith("io.buildah")}
    kept = {key: config.get(key) for key in (*LISTS, "User", "StopSignal", "ExposedPorts", "Volumes")}
    return {
        **{key: value for key, value in kept.items() if value},
        "Env": sorted(entry for entry in config.get("Env") or () if not entry.startswith("PATH=/usr/local")),
        "Labels": labels,
        "WorkingDir": config.get("WorkingDir") or "/",
        "Author": document.get("author", ""),
    }
