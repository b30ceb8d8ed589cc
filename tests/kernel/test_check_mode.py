# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode, and what only tells, writes nothing anywhere: each module on a host that has something of everything."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.mini.containers.plugins.module_utils.core.paths import Paths
from ansible_collections.mini.containers.plugins.module_utils.core.specs.volume import VolumeSpec
from ansible_collections.mini.containers.plugins.module_utils.engine.volumes import converge as volumes
from ansible_collections.mini.containers.plugins.module_utils.glue import task

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
WEB = {"name": "web", "image": "box", "command": "sleep 1000", "networks": [{"name": "lan"}], "volumes": ["data:/data"]}
# Each module, with tasks that would change something, and whether they would.
TASKS: list[tuple[str, dict[str, Any], bool]] = [
    ("mini_container", {**WEB}, False),
    ("mini_container", {**WEB, "memory": "64M"}, True),
    ("mini_container", {**WEB, "hostname": "other"}, True),
    ("mini_container", {**WEB, "restart": True}, True),
    ("mini_container", {"name": "web", "state": "absent"}, True),
    ("mini_container", {"name": "web", "state": "stopped"}, True),
    ("mini_container", {**WEB, "name": "new", "published_ports": ["127.0.0.1:1:1"]}, True),
    ("mini_container", {"name": "new", "state": "absent"}, False),
    ("mini_containers", {"containers": [WEB, {**WEB, "name": "new"}]}, True),
    ("mini_container_copy", {"container": "web", "content": "x", "container_path": "/data/x", "mode": "0644"}, True),
    ("mini_container_copy", {"container": "web", "from_container": True, "src": "/etc/passwd", "dest": "{0}/p"}, True),
    ("mini_container_exec", {"container": "web", "command": "touch /data/x"}, False),
    ("mini_container_info", {"stats": True, "logs": True}, False),
    ("mini_image", {"name": "new", "source": "rootfs", "src": "{0}/context"}, True),
    ("mini_image", {"name": "new", "source": "container", "from_container": "web"}, True),
    ("mini_image", {"name": "new", "source": "archive", "load_path": "{0}/archive.tar"}, True),
    ("mini_image", {"name": "box", "archive_path": "{0}/other.tar"}, True),
    ("mini_image", {"name": "spare", "state": "absent"}, True),
    ("mini_image_build", {"name": "built", "path": "{0}/context"}, True),
    ("mini_image_export", {"names": ["box"], "path": "{0}/other.tar"}, True),
    ("mini_image_info", {}, False),
    ("mini_image_load", {"path": "{0}/archive.tar"}, True),
    ("mini_image_tag", {"name": "box", "repository": ["new:1"]}, True),
    ("mini_network", {"name": "lan", "labels": {"a": "b"}}, True),
    ("mini_network", {"name": "new"}, True),
    ("mini_network", {"name": "lan", "connected": ["web", "idle"]}, True),
    ("mini_network", {"name": "lan", "state": "absent", "force": True}, True),
    ("mini_network_info", {}, False),
    ("mini_prune", dict.fromkeys(("containers", "images", "networks", "volumes", "builder_cache"), True), True),
    ("mini_volume", {"name": "data", "labels": {"a": "b"}}, True),
    ("mini_volume", {"name": "new"}, True),
    ("mini_volume", {"name": "old", "state": "absent"}, True),
    ("mini_volume_info", {}, False),
]


@pytest.fixture
def full(host: Any, tmp_path: Path) -> Iterator[Any]:
    """A host with something of everything, whose locks and tables, made on demand, are to be made anew."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Containerfile").write_text("FROM box\nRUN true\n")
    host.network()
    host.image("spare", tmp_path / "context")
    volumes.ensure(host.paths, VolumeSpec("old"), ())
    host.container(**WEB)
    host.container("idle", state="present")
    for path in (host.paths.lock("container", "x"), host.paths.names_in("lan")):
        shutil.rmtree(os.path.dirname(path))
    yield host
    host.absent("web", "idle")
    host.no_network("lan")


def test_nothing_is_written(
    full: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(task, "paths_of", lambda _params: full.paths)
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    export = call(monkeypatch, capsys, "mini_image_export", False, names=["spare"], path=f"{tmp_path}/archive.tar")
    assert export["changed"]
    forget_locks(full.paths)
    before = everything(tmp_path)
    for module, params, changed in TASKS:
        there = json.loads(json.dumps(params).replace("{0}", str(tmp_path)))
        result = call(monkeypatch, capsys, module, True, **there)
        assert not result.get("failed"), (module, params, result)
        assert result.get("changed", False) == changed, (module, params, result)
        assert everything(tmp_path) == before, (module, params)


def test_every_module_is_among_them() -> None:
    """All that users call; but to know what a host can do is to try it, in a directory that goes again."""
    others = {"mini_boot", "mini_kept", "mini_host_info"}
    assert {path.stem for path in MODULES.glob("*.py")} - others == {module for module, _params, _changed in TASKS}


def forget_locks(paths: Paths) -> None:
    shutil.rmtree(os.path.dirname(paths.lock("container", "x")), ignore_errors=True)


def call(monkeypatch: Any, capsys: Any, module: str, check: bool, **params: Any) -> dict[str, Any]:
    """What the module answers."""
    arguments = {"ANSIBLE_MODULE_ARGS": {**params, "_ansible_check_mode": check, "_ansible_diff": True}}
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps(arguments).encode())
    found = import_module(f"ansible_collections.mini.containers.plugins.modules.{module}")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        found.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def everything(directory: Path) -> dict[str, tuple[int, ...]]:
    """A tree as it is: who writes to a file, or makes or removes one, changes times."""
    looks = {str(path): path.lstat() for path in sorted(directory.rglob("*"))}
    return {path: (look.st_ino, look.st_size, look.st_mtime_ns, look.st_ctime_ns) for path, look in looks.items()}
