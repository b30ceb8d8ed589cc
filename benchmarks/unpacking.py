# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive of `docker save` becomes an image: many small files, few large ones, compressed or not.

Ours is loaded by a process that does nothing else; how much its memory grows is measured with it. umoci only unpacks.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.engine.images import converge
from ansible_collections.mini.containers.plugins.module_utils.glue.image import image_spec
from ansible_collections.mini.containers.plugins.module_utils.image.tarstream import Entry
from ansible_collections.mini.containers.plugins.module_utils.image.tarwriter import END, header, padding

from . import programs
from .contestant import Contestant
from .samples import Samples

NAME = "bench:1"
ROUNDS = 3
_KIB_PER_MB = 1024
_WORDS = b" ".join(b"%x" % (number * 2654435761 % 2**32) for number in range(2**14))


class Load(NamedTuple):
    """An image of one layer: how many files of how many bytes."""

    files: int
    size: int
    packed: bool = False


LOADS = {"small": Load(10_000, 5_000), "large": Load(8, 60_000_000), "gzip": Load(20_000, 8_000, packed=True)}
QUICK_LOADS = {"small": Load(50, 5_000), "large": Load(2, 10**6), "gzip": Load(50, 8_000, packed=True)}


def measure(
    samples: Samples, directory: Path, loads: dict[str, Load], peers: Sequence[Contestant], rounds: int
) -> None:
    """Each in turn, on the same disk. What was loaded is removed when its time is known."""
    directory.mkdir()
    clients = [peer for peer in peers if isinstance(peer, programs.Client)]
    for what, load in loads.items():
        archive, layout = _write(directory / what, load)
        for _turn in range(rounds):
            _ours(samples, what, archive, directory / "state")
            for client in clients:
                os.sync()
                with samples.timed(f"{client.name} load-{what}"):
                    client.call("load", "--quiet", "--input", str(archive))
                client.call("rmi", "--force", NAME)
            if clients and shutil.which("umoci"):
                os.sync()
                with samples.timed(f"umoci load-{what}"):
                    programs.call("umoci", "raw", "unpack", "--image", f"{layout}:1", str(directory / "rootfs"))
                shutil.rmtree(directory / "rootfs")
        shutil.rmtree(directory / what)


def _ours(samples: Samples, what: str, archive: Path, state: Path) -> None:
    os.sync()
    with samples.timed(f"mini load-{what}"):
        child = os.fork()
        if not child:
            before = _memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the most is what is there now
            converge.ensure(Paths(str(state)), image_spec({"name": NAME, "load_path": str(archive)}))
            state.with_name("grown").write_text(str(_memory("VmHWM") - before))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise RuntimeError(f"exit code {status} of a process that loads an image")
    samples.add(f"mini load-memory-{what}", float(state.with_name("grown").read_text()))
    shutil.rmtree(state)


def _memory(field: str) -> float:
    match = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(match[1]) / _KIB_PER_MB if match else 0.0


def _write(directory: Path, load: Load) -> tuple[Path, Path]:
    """The archive, and a layout of the same image."""
    blobs = directory / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    draft, plain = directory / "layer.tar", hashlib.sha256()
    with gzip.open(draft, "wb", 1) if load.packed else open(draft, "wb") as file:
        for data in _tar(load):
            file.write(data)
            plain.update(data)
    with open(draft, "rb") as layer:
        digest = hashlib.file_digest(layer, "sha256").hexdigest()
    draft.rename(blobs / digest)
    kind = "tar+gzip" if load.packed else "tar"
    tar = {"mediaType": f"application/vnd.oci.image.layer.v1.{kind}", "digest": f"sha256:{digest}"}
    tar["size"] = (blobs / digest).stat().st_size
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{plain.hexdigest()}"]}
    config = _put(blobs, "config", {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})
    manifest = _put(blobs, "manifest", {"schemaVersion": 2, "config": config, "layers": [tar]})
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (directory / "layout" / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (directory / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {"Config": f"{config['digest'][7:]}.json", "RepoTags": [NAME], "Layers": [f"{digest}/layer.tar"]}
    with open(directory / "saved.tar", "wb") as archive:
        for name, path in ((entry["Layers"][0], blobs / digest), (entry["Config"], blobs / config["digest"][7:])):
            archive.write(_header(name, path.stat().st_size))
            with open(path, "rb") as content:
                shutil.copyfileobj(content, archive)
            archive.write(padding(path.stat().st_size))
        listed = json.dumps([entry]).encode()
        archive.write(_header("manifest.json", len(listed)) + listed + padding(len(listed)) + END)
    return directory / "saved.tar", directory / "layout"


def _put(blobs: Path, kind: str, document: object) -> dict[str, object]:
    raw = json.dumps(document).encode()
    digest = hashlib.sha256(raw).hexdigest()
    (blobs / digest).write_bytes(raw)
    return {"mediaType": f"application/vnd.oci.image.{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(raw)}


def _tar(load: Load) -> Iterator[bytes]:
    """A hundred files a directory; no two have the same content."""
    for number in range(load.files):
        yield _header(f"usr/share/{number // 100}/{number}", load.size)
        begin, left = b"%d\n" % number, load.size - len(b"%d\n" % number)
        yield begin
        while left:
            yield _WORDS[:left]
            left -= len(_WORDS[:left])
        yield padding(load.size)
    yield END


def _header(name: str, size: int) -> bytes:
    return header(Entry(name=name.encode(), kind=b"0", mode=0o644, uid=0, gid=0, mtime_ns=10**18, size=size))
