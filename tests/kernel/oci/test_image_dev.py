# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's own /dev, where the bundle mounts none over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bare(bundle: Any) -> Any:
    """A bundle whose /dev is the image's directory."""
    bundle.config["mounts"] = [
        entry for entry in bundle.config["mounts"] if not entry["destination"].startswith("/dev")
    ]
    return bundle


@pytest.mark.parametrize("name", ["console", "null", "ptmx", "fd"])
def test_a_link_in_dev_is_not_followed(bare: Any, tmp_path: Path, name: str) -> None:
    """CVE-2025-52565, CVE-2026-41579: what is made there would be made, or mounted, on the host."""
    canary = tmp_path / "canary"
    canary.write_text("mine")
    (bare.rootfs / "dev").mkdir(exist_ok=True)
    (bare.rootfs / "dev" / name).symlink_to(canary)
    bare.process["terminal"] = name == "console"
    bare.sh("echo written > /dev/null; true")
    bare.call("run", "c1")
    assert canary.read_text() == "mine"
    assert canary.stat().st_mode & 0o170000 == 0o100000
    mounted = Path("/proc/self/mountinfo").read_text()
    assert str(canary) not in mounted


@pytest.mark.parametrize("path", ["dev", "dev/pts"])
def test_a_directory_that_is_a_link(bundle: Any, tmp_path: Path, path: str) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (bundle.rootfs / path).parent.mkdir(exist_ok=True)
    bundle.config["mounts"] = [entry for entry in bundle.config["mounts"] if entry["destination"] != "/dev"]
    (bundle.rootfs / path).symlink_to(canary)
    assert "ordinary directory" in bundle.refused("run", "c1")
    assert list(canary.iterdir()) == []
