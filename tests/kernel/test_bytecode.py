# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules compiled once a host: used when they fit and are root's own, otherwise as if they were not there."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

UTILS = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
PACKAGE = "ansible_collections/mini/containers/plugins/module_utils"
TASK = """
import sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.mini.containers.plugins.module_utils.core import paths
paths.BYTECODE = sys.argv[2]
from ansible_collections.mini.containers.plugins.module_utils.glue import bytecode
bytecode.use()
from ansible_collections.mini.containers.plugins.module_utils.core import units
from ansible_collections.mini.containers.plugins.module_utils.engine import program
print(type(units.__loader__).__module__, units.__file__ == units.__spec__.origin, units.parse_memory("memory", "64M"))
print(b"mini.containers" in program._source("runtime/bundle.py"), len(sys.meta_path))
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """What Ansible makes of our sources."""
    path = tmp_path / "payload.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name in ("ansible_collections", *PACKAGE.split("/")[1:]):
            prefix = PACKAGE[: PACKAGE.index(name) + len(name)]
            opened.writestr(f"{prefix}/__init__.py", "")
        for source in sorted(UTILS.rglob("*.py")):
            opened.write(source, f"{PACKAGE}/{source.relative_to(UTILS)}")
        for directory in sorted(path for path in UTILS.rglob("*") if path.is_dir() and path.name != "__pycache__"):
            opened.writestr(f"{PACKAGE}/{directory.relative_to(UTILS)}/__init__.py", "")
    return path


def _task(archive: Path, cache: Path) -> list[str]:
    command = [sys.executable, "-I", "-c", TASK, str(archive), str(cache)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


CACHED = ["ansible_collections.mini.containers.plugins.module_utils.glue.bytecode", "True", str(64 * 2**20), "True"]
OTHER = "def parse_memory(option, value):\n    return 7\n"


def _tamper(kept: Path) -> None:
    """Let the cache say something else than the sources, so that it is seen whose word counts."""
    codes = marshal.loads(kept.read_bytes())
    codes[f"{PACKAGE}/core/units.py"] = marshal.dumps(compile(OTHER, "units.py", "exec"))
    kept.write_bytes(marshal.dumps(codes))


@pytest.fixture
def kept(archive: Path, tmp_path: Path) -> Path:
    """The file that a first task leaves."""
    assert _task(archive, tmp_path / "cache")[:4] == CACHED
    (found,) = (tmp_path / "cache").iterdir()
    return found


def test_the_second_task_compiles_nothing(archive: Path, kept: Path) -> None:
    assert (kept.parent.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o700, 0o600)
    _tamper(kept)
    assert _task(archive, kept.parent)[2] == "7"


def test_another_version_has_a_file_of_its_own(archive: Path, kept: Path) -> None:
    _tamper(kept)
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(f"{PACKAGE}/core/later.py", "VERSION = 2\n")
    assert _task(archive, kept.parent)[:4] == CACHED
    assert len(list(kept.parent.iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"junk", b"\xfb\x00"])
def test_a_torn_file_is_written_anew(archive: Path, kept: Path, content: bytes) -> None:
    kept.write_bytes(content)
    assert _task(archive, kept.parent)[:4] == CACHED
    assert kept.stat().st_size > 10_000


SPOILT = {
    "writable": lambda kept: kept.chmod(0o666),
    "somebody's": lambda kept: os.chown(kept, 1000, 1000),
    "in a writable directory": lambda kept: kept.parent.chmod(0o777),
    "a link": lambda kept: kept.symlink_to(kept.rename(kept.with_name("elsewhere"))),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_others_could_have_written_is_not_read(archive: Path, kept: Path, spoil: Any) -> None:
    _tamper(kept)
    spoil(kept)
    assert _task(archive, kept.parent)[1:4] == CACHED[1:]


def test_without_a_place_for_it_tasks_work(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _task(archive, tmp_path / "file" / "cache")[1:4] == CACHED[1:]
