# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the guest: a stock Debian 12, made by mmdebstrap, kept between runs.

It holds every package that the play would install, so the guest needs no network. The place it is kept in is named
by a digest of all that went into it; a run never writes to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

SUITE = "bookworm"
# The system, then what the role mini_host and the plays ask for.
PACKAGES = (
    "dbus initramfs-tools kmod libpam-systemd linux-image-amd64 lz4 openssh-server python3 systemd systemd-sysv udev"
    " busybox-static iproute2 iptables nftables libseccomp2 python3-pyroute2 xz-utils zstd apparmor"
).split()
FILES = Path(__file__).parent / "files"
SIZE = "3G"


class Image(NamedTuple):
    """The files a guest is booted from."""

    disk: Path
    kernel: Path
    initrd: Path
    key: Path


def image() -> Image:
    """The guest's disk, made when it is not there: two to four minutes, and the network."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "mini.containers", "vm")
    place = cache / _digest()
    if not place.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.iterdir():
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=cache) as work:
            made = _make(Path(work))
            made.rename(place)
    return Image(place / "disk", place / "vmlinuz", place / "initrd.img", place / "key")


def _digest() -> str:
    parts = [Path(__file__).read_bytes()]
    for path in sorted(path for path in FILES.rglob("*") if path.is_file()):
        parts += [os.fsencode(path.relative_to(FILES)), path.read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _make(work: Path) -> Path:
    """A root file system in a directory, its settings, and the two packed as a disk without partitions."""
    root, made = work / "root", work / "made"
    made.mkdir()
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        "--mode=root",
        f"--include={','.join(PACKAGES)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        f"--essential-hook=sync-in {FILES} /",
        SUITE,
        str(root),
    )
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test-vm", "-f", str(made / "key"))
    _settle(root, (made / "key.pub").read_text())
    for name in ("vmlinuz", "initrd.img"):
        (found,) = (root / "boot").glob(f"{name}-*")
        shutil.copyfile(found, made / name)
    _run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(root), str(made / "disk"), SIZE)
    return made


def _settle(root: Path, public_key: str) -> None:
    """A name, a key for root, addresses by DHCP, and nothing that keeps the emulated processor busy by itself."""
    (root / "etc" / "hostname").write_text("guest\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 guest\n")
    ssh = root / "root" / ".ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(public_key)
    _run("systemctl", f"--root={root}", "--quiet", "enable", "systemd-networkd.service")
    timers = "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer"
    services = "apparmor.service e2scrub_reap.service"
    _run("systemctl", f"--root={root}", "--quiet", "mask", *services.split(), *timers.split())


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
