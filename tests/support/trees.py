# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a tree shows, for comparison with another: an mtree of our own. And images that umoci unpacks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.overlay import overlay_data


class Look(NamedTuple):
    """One file. `content` is a digest, or where a link points; `twin` the first of the names that the file has."""

    kind: str
    mode: int
    owner: tuple[int, int]
    device: int
    mtime_ns: int
    content: str
    twin: bytes
    xattrs: dict[str, bytes]


def looks(root: Path, since_ns: int = 2**63) -> dict[bytes, Look]:
    """Every file below `root` by its path, in order. A time after `since_ns` is that of the unpacking: 0 here."""
    first: dict[tuple[int, int], bytes] = {}
    found: dict[bytes, Look] = {}
    for directory, directories, files in os.walk(os.fsencode(root)):
        directories.sort()
        for name in sorted(directories + files):
            full = os.path.join(directory, name)
            path = os.path.relpath(full, os.fsencode(root))
            seen = os.lstat(full)
            is_node = stat.S_ISBLK(seen.st_mode) or stat.S_ISCHR(seen.st_mode)
            twin = b"" if stat.S_ISDIR(seen.st_mode) else first.setdefault((seen.st_dev, seen.st_ino), path)
            found[path] = Look(
                stat.filemode(seen.st_mode)[0],
                stat.S_IMODE(seen.st_mode),
                (seen.st_uid, seen.st_gid),
                seen.st_rdev if is_node else 0,
                seen.st_mtime_ns if seen.st_mtime_ns < since_ns else 0,
                _content(full, seen.st_mode),
                twin,
                _attributes(full),
            )
    return found


def _content(path: bytes, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return os.fsdecode(os.readlink(path))
    if not stat.S_ISREG(mode):
        return ""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for data in iter(lambda: file.read(2**20), b""):
            digest.update(data)
    return f"{os.path.getsize(path)} {digest.hexdigest()}"


def _attributes(path: bytes) -> dict[str, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    wanted = [name for name in names if name.startswith(("security.capability", "system.posix_acl_access", "user."))]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in wanted}


def difference(ours: dict[bytes, Look], theirs: dict[bytes, Look], *ignored: str) -> list[str]:
    """What is not the same, a line each."""
    lines = []
    for path in sorted({*ours, *theirs}):
        one, other = ours.get(path), theirs.get(path)
        if one is None or other is None:
            lines.append(f"{path!r} only {'theirs' if one is None else 'ours'}: {one or other}")
            continue
        for field in Look._fields:
            if field not in ignored and getattr(one, field) != getattr(other, field):
                lines.append(
                    f"{path!r} {field}: ours {getattr(one, field)!r:.99}, theirs {getattr(other, field)!r:.99}"
                )
    return lines


@contextmanager
def merged(layers: Sequence[str], place: Path) -> Iterator[Path]:
    """Unpacked layers, bottom to top, as a container sees them."""
    place.mkdir(exist_ok=True)
    empty = place.with_name(place.name + ".empty")
    empty.mkdir(exist_ok=True)  # an overlay without an upper directory has two lower ones at least
    libc.mount("overlay", str(place), "overlay", 0, overlay_data([str(empty), *layers]))
    try:
        yield place
    finally:
        libc.umount2(str(place))


def write_layout(directory: Path, layers: Sequence[bytes], diff_ids: Sequence[str] = ()) -> Path:
    """An OCI layout with one image, `1`, of these layers, each as it is."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(kind: str, content: Any) -> dict[str, Any]:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        digest = hashlib.sha256(raw).hexdigest()
        (blobs / digest).write_bytes(raw)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(raw)}

    known = list(diff_ids) or ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    rootfs = {"type": "layers", "diff_ids": known}
    config = put("config.v1+json", {"os": "linux", "architecture": "amd64", "rootfs": rootfs})
    tars = [put("layer.v1.tar" + ("+gzip" if raw[:2] == b"\x1f\x8b" else ""), raw) for raw in layers]
    manifest = put("manifest.v1+json", {"schemaVersion": 2, "config": config, "layers": tars})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def by_umoci(layout: Path, place: Path) -> tuple[Optional[Path], str]:
    """The root file system that umoci makes of the image `1`; none, and why, when it refuses."""
    shutil.rmtree(place, ignore_errors=True)
    command = ["umoci", "raw", "unpack", "--image", f"{layout}:1", str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    return (place, "") if done.returncode == 0 else (None, done.stderr.strip()[-300:])
