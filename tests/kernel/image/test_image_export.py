# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and root file systems as files: the same input gives the same bytes, and others read them."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import storefiles
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, NotFound
from ansible_collections.mini.containers.plugins.module_utils.core.plan import Step
from ansible_collections.mini.containers.plugins.module_utils.engine.images import export as exports
from ansible_collections.mini.containers.plugins.module_utils.glue.image import export_spec
from ansible_collections.mini.containers.plugins.module_utils.image import outfile
from imagehost import Host


@pytest.fixture
def host(tmp_path: Path, layout: Path) -> Host:
    """`web:1` has two layers, the upper with a whiteout; `other:1` has one."""
    found = Host(tmp_path)
    found.image("web:1", load_path=str(layout))
    found.image("other:1", src=str(found.tar))
    return found


def export(host: Host, path: Path, *names: str, **options: Any) -> list[str]:
    """The steps of the task, which check mode told before, and which are none the second time."""
    extra = {key: options.pop(key) for key in ("observer",) if key in options}
    spec = export_spec({"names": list(names), "path": str(path), **options})
    before = (path.read_bytes() if path.exists() else None, storefiles.kept(host.paths.state_root))
    told = exports.export(host.paths, spec, check=True)
    assert before == (path.read_bytes() if path.exists() else None, storefiles.kept(host.paths.state_root))
    done = exports.export(host.paths, spec, **extra)
    assert told.plan.describe() == done.plan.describe()
    assert not done.plan or spec.force or not exports.export(host.paths, spec).plan
    assert sorted(os.listdir(path.parent)) == [name for name in sorted(os.listdir(path.parent)) if "tmp" not in name]
    return [step.name for step in done.plan]


def skopeo(*arguments: str) -> bytes:
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True).stdout


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_several_in_one(host: Host, out: Path, compression: str) -> None:
    file = out / "both.tar"
    assert export(host, file, "web:1", "other:1", compression=compression) == ["export"]
    first = file.read_bytes()
    assert (first[:2] == b"\x1f\x8b") == (compression == "gzip")
    assert export(host, file, "other:1", "web:1", "docker.io/library/web:1", compression=compression) == []
    assert export(host, file, "other:1", "web:1", compression=compression, force=True) == ["export"]
    assert file.read_bytes() == first
    plain = out / "plain.tar"
    plain.write_bytes(gzip.decompress(first) if compression == "gzip" else first)
    skopeo("copy", "-q", f"oci-archive:{file}:web:1", f"oci:{out}/copied:first")
    # Debian 12's skopeo reads no compressed archive of docker's
    for name in ("web:1", "other:1"):
        skopeo("copy", "-q", f"docker-archive:{plain}:docker.io/library/{name}", f"oci:{out}/copied:{name}")
    other = Host(out)
    for name in ("web:1", "other:1"):
        other.image(name, load_path=str(file))
        assert other.find(name).manifest_digest == host.find(name).manifest_digest
    storefiles.fsck(other.paths.state_root)


def test_when_it_is_written_again(host: Host, out: Path) -> None:
    file = out / "a.tar"
    export(host, file, "web:1")
    whole = file.read_bytes()
    for damaged in (whole[:-512], whole + bytes(512), b"", whole[:1000] + b"x" + whole[1001:]):
        file.write_bytes(damaged)
        assert export(host, file, "web:1") == ["export"]
        assert file.read_bytes() == whole
    assert export(host, file, "web:1", "other:1") == ["export"]
    assert export(host, file, "other:1") == ["export"]
    host.image("other:1", src=str(host.tar), user="7")
    assert export(host, file, "other:1") == ["export"]
    assert export(host, file, "other:1", compression="gzip") == ["export"]
    assert export(host, file, "other:1") == ["export"]


def test_by_id(host: Host, out: Path) -> None:
    """There is no name in it."""
    assert export(host, out / "a.tar", host.find("web:1").id[7:19]) == ["export"]
    with tarfile.open(out / "a.tar") as found:
        raw = found.extractfile("manifest.json").read()  # type: ignore[union-attr]
    assert b'"RepoTags":[]' in raw
    other = Host(out)
    other.image("mine:1", load_path=str(out / "a.tar"))
    assert other.find("mine:1").manifest_digest == host.find("web:1").manifest_digest


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_root_file_system(host: Host, out: Path, layout: Path, compression: str) -> None:
    file = out / "tree.tar"
    assert export(host, file, "web:1", kind="rootfs", compression=compression) == ["export"]
    subprocess.run(["umoci", "unpack", "--image", f"{layout}:1", out / "by-umoci"], check=True)
    (out / "ours").mkdir()
    subprocess.run(["tar", "-xpf", file, "-C", out / "ours"], check=True)
    assert listing(out / "ours") == listing(out / "by-umoci" / "rootfs")
    other = Host(out)
    other.image("web:1", load_path=str(layout))
    assert export(other, file, "web:1", kind="rootfs", compression=compression) == []
    raw = file.read_bytes() if compression == "none" else gzip.decompress(file.read_bytes())
    changed = raw.replace(b"new", b"old")
    file.write_bytes(changed if compression == "none" else gzip.compress(changed))
    assert export(host, file, "web:1", kind="rootfs", compression=compression) == ["export"]
    other.image("again:1", src=str(file))
    upper = Path(other.store.layer_dirs(other.find("again:1"))[0])
    assert (upper / "new").read_text() == "new"
    assert not (upper / "gone").exists()


def listing(root: Path) -> list[Any]:
    return [
        (str(path.relative_to(root)), path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(root.rglob("*"))
    ]


def test_refused(host: Host, out: Path) -> None:
    for names, options in [
        ((), {}),
        (("web:1",), {"container": "c"}),
        (("web:1", "other:1"), {"kind": "rootfs"}),
        ((), {"container": "c", "kind": "archive"}),
        (("web:1",), {"path": "relative"}),
        (("Web",), {}),
    ]:
        with pytest.raises(BadInput):
            export_spec({"names": list(names), "path": str(out / "a.tar"), **options})
    with pytest.raises(BadInput, match="is a directory"):
        exports.export(host.paths, export_spec({"names": ["web:1"], "path": str(out)}))
    for options in ({"names": ["none:1"]}, {"container": "none"}):
        spec = export_spec({"path": str(out / "a.tar"), **options})
        with pytest.raises(NotFound, match="that could be exported"):
            exports.export(host.paths, spec)
        told = exports.export(host.paths, spec, check=True)
        assert ([step.name for step in told.plan], len(told.warnings)) == (["export"], 1)
    assert os.listdir(out) == []


def test_a_full_disk(host: Host, out: Path) -> None:
    (out / "a.tar").write_bytes(b"old")
    with pytest.raises(OSError, match="File too large"):
        outfile.write(str(out / "a.tar"), iter([b"x", limited()]))
    assert os.listdir(out) == ["a.tar"]
    assert (out / "a.tar").read_bytes() == b"old"


def limited() -> bytes:
    raise OSError(27, "File too large")


def test_killed_in_the_middle(host: Host, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = out / "a.tar"
    child = os.fork()
    if not child:
        try:
            monkeypatch.setattr(os, "fsync", lambda _fd: os.kill(os.getpid(), signal.SIGKILL))
            exports.export(host.paths, export_spec({"names": ["web:1"], "path": str(file)}))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.listdir(out) == [".a.tar.mini.tmp"]
    assert export(host, file, "web:1") == ["export"]
    assert os.listdir(out) == ["a.tar"]
    host.image("other:1", "absent")
    storefiles.fsck(host.paths.state_root)


def test_nobody_waits_for_a_slow_one(host: Host, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is written the store's lock is free, and what is swept meanwhile is in the file all the same."""
    read_end, write_end = os.pipe()
    os.mkfifo(out / "pipe")

    def observer(event: str, step: Step) -> None:
        if event == "begin":
            os.write(write_end, b"x")

    written = outfile.write

    def slowly(path: str, pieces: Any, compression: str) -> None:
        host.image("web:1", "absent")
        written(path, pieces, compression)

    monkeypatch.setattr(outfile, "write", slowly)
    spec = export_spec({"names": ["web:1"], "path": str(out / "a.tar")})
    digest = host.find("web:1").manifest_digest
    exports.export(host.paths, spec, observer=observer)
    assert os.read(read_end, 1) == b"x"
    os.close(read_end)
    os.close(write_end)
    host.image("web:2", load_path=str(out / "a.tar"))
    assert host.find("web:2").manifest_digest == digest


def test_of_a_container(host: Host, out: Path) -> None:
    record = host.container(host.find("web:1"))
    upper = Path(host.paths.container(record.id, "upper"))
    os.mkdir(host.paths.container(record.id, "work"))
    os.mkdir(host.paths.container(record.id, "rootfs"))
    (upper / "made").write_text("by the container")
    os.mknod(upper / "new", 0o020000, 0)
    file = out / "c.tar"
    assert export(host, file, container="c") == ["export"]
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes())) as found:
        names = found.getnames()
    assert "made" in names
    assert "bin/busybox" in names
    assert "new" not in names
    (upper / "made").write_text("by the container, again")
    assert export(host, file, container="c") == ["export"]
    assert sorted(os.listdir(upper)) == ["made", "new"]
