# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of the other engines. PyPI's package `ansible` holds their collections.

`make bench PEERS=1` fetches what is missing into a cache directory outside the repository, once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

COLLECTIONS = {"docker-module": "community/docker", "podman-module": "containers/podman"}
_ALSO = ("community/library_inventory_filtering_v1",)
_PACKAGE = "ansible==12.*"


def cache() -> Path:
    """Where what was fetched is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mini-containers-bench"


def fetch() -> None:
    """The collections, and the library that docker_container needs on a managed host."""
    target = cache()
    if not (target / "python" / "requests").exists():
        _pip("install", "--target", str(target / "python"), "requests")
    if all((target / "ansible_collections" / path).exists() for path in COLLECTIONS.values()):
        return
    with tempfile.TemporaryDirectory() as directory:
        _pip("download", "--no-deps", "--dest", directory, _PACKAGE)
        for wheel in Path(directory).glob("*.whl"):
            _unpack(wheel, target)


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def _unpack(wheel: Path, target: Path) -> None:
    wanted = tuple(f"ansible_collections/{path}/" for path in (*COLLECTIONS.values(), *_ALSO))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(wanted)])


def search_path() -> list[Path]:
    """Where collections may be, the cache first."""
    return [cache(), Path.home() / ".ansible" / "collections", Path("/usr/share/ansible/collections")]


def installed(name: str) -> bool:
    """Whether the module's collection is somewhere."""
    return any((path / "ansible_collections" / COLLECTIONS[name]).is_dir() for path in search_path())


def environment(repository: Path) -> dict[str, str]:
    """For ansible-playbook: our collection and the others, and the fetched library."""
    found = [repository / ".venv" / "collections", *search_path()]
    return {"ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, found)), "PYTHONPATH": str(cache() / "python")}
