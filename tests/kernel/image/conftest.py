# SPDX-License-Identifier: GPL-3.0-or-later
"""The makers of raw tar archives and of registries, importable; and an image that another tool made."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "support"))

from registries import Liar

NEEDED = ("docker-registry", "htpasswd", "openssl", "skopeo", "umoci")


@pytest.fixture(autouse=True)
def opener() -> Iterator[None]:
    """Ansible's client leaves its handlers, a test's proxy among them, to all that the process asks later."""
    yield
    urllib.request.install_opener(None)


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    """A registry that answers as a test says, asked past all proxies."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Liar() as found:
        yield found


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout that umoci made: an image of two layers, the second with a whiteout."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    assert not missing, f"install {', '.join(missing)}: images are fetched from a registry that others wrote"
    directory = tmp_path_factory.mktemp("umoci")
    found, bundle = directory / "layout", directory / "bundle"
    for command in (["init", "--layout", found], ["new", "--image", f"{found}:1"]):
        subprocess.run(["umoci", *command], check=True)
    for number in (1, 2):
        shutil.rmtree(bundle, ignore_errors=True)
        subprocess.run(["umoci", "unpack", "--image", f"{found}:1", bundle], check=True)
        root = bundle / "rootfs"
        if number == 1:
            (root / "bin").mkdir()
            shutil.copy2("/bin/busybox", root / "bin" / "busybox")
            (root / "gone").write_text("gone")
        else:
            (root / "gone").unlink()
            (root / "new").write_text("new")
        subprocess.run(["umoci", "repack", "--image", f"{found}:1", bundle], check=True)
    subprocess.run(["umoci", "config", "--image", f"{found}:1", "--config.cmd", "/bin/busybox"], check=True)
    return found
