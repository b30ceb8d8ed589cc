# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on what the engine does to files of the host after a container had its hands on them.

Each test fails without its defence: that was tried by taking it away.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import converge as volumes
from ansible_collections.mini.containers.plugins.module_utils.linux import files, libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mount_options import MNT_DETACH

NOBODY = 65534


def test_a_hosts_file_without_end(host: Any) -> None:
    """It is a container's to write, and the next task's to read: all of it would not fit into the host's memory."""
    host.container()
    path = Path(host.paths.container(host.record().id, "hosts"))
    before = path.read_bytes()
    assert host.exec("c", "sh", "-c", "dd of=/etc/hosts bs=1048576 seek=1048576 count=0 if=/dev/zero").rc == 0
    assert path.stat().st_size == 1 << 40
    assert len(host.container().plan.steps) == 1
    assert path.read_bytes() == before
    assert not host.container().plan
    host.absent("c")


def _tree(tmp_path: Path) -> Path:
    """A tree to remove, and beside it what has the same names and is somebody else's."""
    for name in ("top/a/b/c", "top/victim", "a", "victim"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "victim" / "file").write_text("mine")
    return tmp_path / "top"


def test_a_directory_that_is_moved_while_its_tree_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its `..` is another one then; who moved it up would lead the removal out, and on into names of his choice."""
    top = _tree(tmp_path)
    unlink_files = files._unlink_files

    def move_then_unlink(directory: int) -> list[str]:
        if os.path.lexists(top / "a" / "b") and os.path.samestat(os.fstat(directory), os.stat(top / "a" / "b")):
            os.rename(top / "a" / "b", top / "b")
        return sorted(unlink_files(directory), reverse=True)

    monkeypatch.setattr(files, "_unlink_files", move_then_unlink)
    with pytest.raises(OSError, match="somebody moves"):
        files.remove_tree(str(top))
    assert (tmp_path / "victim" / "file").read_text() == "mine"
    monkeypatch.undo()
    files.remove_tree(str(top))
    assert not top.exists()


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_what_is_mounted_in_a_volume_is_not_removed_with_it(host: Any, tmp_path: Path, kind: str) -> None:
    """By a container that shares its mounts, or by hand."""
    volumes.ensure(host.paths, VolumeSpec("v"), set())
    place = Path(host.paths.volume_data("v"), "deep", "place")
    place.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    bind = kind == "bind"
    libc.mount(str(tmp_path / "precious"), str(place), None if bind else kind, 4096 if bind else 0)
    try:
        (place / "file").write_text("keep me")
        with pytest.raises(MiniError, match="something is mounted below"):
            volumes.remove(host.paths, "v")
        assert (place / "file").read_text() == "keep me"
    finally:
        libc.umount2(str(place), MNT_DETACH)
    volumes.remove(host.paths, "v")
    assert not os.path.exists(host.paths.volume("v"))


def test_links_in_what_is_removed(host: Any, tmp_path: Path) -> None:
    """CVE-2024-23652: of the container's own layer and of a volume; to files and to directories."""
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "file").write_text("keep me")
    host.container(volumes=["v:/data"])
    for root in (f"/proc/{host.pid()}/root", host.paths.volume_data("v")):
        for name, target in (("dir", "canary"), ("file", "canary/file"), ("through", "canary/../canary")):
            os.symlink(tmp_path / target, os.path.join(root, name))
    host.absent("c")
    volumes.remove(host.paths, "v")
    assert (tmp_path / "canary" / "file").read_text() == "keep me"


@pytest.mark.parametrize("made", ["by us", "by hand"])
def test_other_users_reach_no_file_of_a_container(host: Any, made: str) -> None:
    """CVE-2021-41091: a setuid program of an image would be theirs to run, also below a state root that others see."""
    host.directory.chmod(0o755)
    if made == "by hand":
        for path in (host.paths.state_root, host.paths.run_root):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o755)
    host.container(volumes=["v:/data"], secrets=[{"source": "password", "content": "x"}])
    host.exec("c", "sh", "-c", "cp /bin/busybox /data/evil; chmod 4755 /data/evil; chmod 777 /data /")
    record = host.record()
    layer = host.paths.layer(record.layers[0])
    places = [
        f"{layer}/bin/busybox",
        f"{host.paths.container(record.id, 'upper')}/tmp",
        f"{host.paths.container(record.id)}/log",
        f"{host.paths.volume_data('v')}/evil",
        f"{host.paths.secrets(record.id)}/password",
        host.paths.container_record(record.id),
        host.paths.run_state(record.id),
    ]
    assert [path for path in places if not os.path.lexists(path)] in ([], [places[1]])
    assert _seen_by_nobody(places) == []
    host.absent("c")
    volumes.remove(host.paths, "v")


def _seen_by_nobody(paths: list[str]) -> list[str]:
    """Those of the paths that a user without privileges finds from the directory that they have in common."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(os.path.commonpath(paths))
            names = [os.path.relpath(path) for path in paths]
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(write_end, "\n".join(name for name in names if os.path.lexists(name)).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with open(read_end, encoding="utf-8") as handle:
        return handle.read().split()
