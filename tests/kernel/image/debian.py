# SPDX-License-Identifier: GPL-3.0-or-later
"""A root file system of Debian, made by mmdebstrap, kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
PACKAGES = "python3-minimal nginx-light".split()
LEFT_OUT = "/usr/share/doc/* /usr/share/locale/* /usr/share/man/*".split()


def rootfs() -> Path:
    """The tar, made when it is not there: a minute or two, and the mirror that apt is configured with."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mini.containers", "image")
    place = cache / (hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16] + ".tar")
    if not place.exists():
        assert shutil.which("mmdebstrap"), "install mmdebstrap: a Debian is made into an image"
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.iterdir():
            old.unlink()
        draft = cache / f".{os.getpid()}.tar"
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--include={','.join(PACKAGES)}"]
        command += [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
        subprocess.run([*command, SUITE, str(draft)], check=True)
        draft.rename(place)
    return place
