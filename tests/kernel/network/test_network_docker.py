# SPDX-License-Identifier: GPL-3.0-or-later
"""Beside a Docker daemon that has the same network namespace, with its rules and its policy DROP."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from ..waiting import PATIENCE, eventually
from .conftest import HOST_LAN, NEIGHBOUR_LAN, sh

pytestmark = pytest.mark.skipif(not shutil.which("dockerd"), reason="no Docker on this machine")


class Daemon:
    """A Docker daemon in this network namespace, and in a mount namespace that has the machine's cgroups."""

    def __init__(self, directory: Path) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.log = directory / "log"
        self.socket = directory / "socket"
        self.words = [
            "nsenter",
            f"--mount=/proc/{os.getppid()}/ns/mnt",
            "unshare",
            "--mount",
            "dockerd",
            "--storage-driver=vfs",
        ]
        self.words += [f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"]
        self.words += [f"--host=unix://{self.socket}", f"--default-ulimit=nofile={hard}:{hard}", "--bip=172.31.0.1/24"]
        self.words += ["--exec-opt=native.cgroupdriver=cgroupfs", "--ipv6=false"]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        asked = ["docker", "--host", f"unix://{self.socket}", "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def daemon(lab, tmp_path):
    """Its bridge and its rules are taken away in the end: it leaves them."""
    made = Daemon(tmp_path)
    yield made
    made.stop()
    sh("ip link del docker0 2>/dev/null; nft flush ruleset; echo 0 > /proc/sys/net/ipv4/ip_forward")


def theirs() -> list[str]:
    """All rules that are not ours, but for what Docker made that it makes anew at each start."""
    return sorted(line for line in sh("iptables-save").splitlines() if line.startswith("-A") and "mini" not in line)


@pytest.mark.parametrize(
    ("backend", "first"),
    [("nftables", "docker"), ("nftables", "ours"), ("iptables-nft", "docker")],
    indirect=["backend"],
)
def test_beside_docker(lab, daemon, first):
    if first == "docker":
        daemon.start()
    lab.network("web")
    box = lab.container("web")
    lab.serve(box.netns, 80)
    lab.serve(lab.neighbour, 9000)
    lab.publish(box, "8080:80")
    if first == "ours":
        daemon.start()
        sh("iptables -P FORWARD DROP")  # where it finds forwarding on, it leaves the policy to the administrator
        lab.network("web")  # the first to look makes way, if any is needed
    assert ":FORWARD DROP" in sh("iptables-save")
    before = theirs()
    assert any("DOCKER" in line for line in before)

    def works() -> None:
        assert lab.ask(lab.neighbour, HOST_LAN, 8080) == NEIGHBOUR_LAN
        assert lab.ask(box.netns, NEIGHBOUR_LAN, 9000) == HOST_LAN
        assert lab.refuses(lab.neighbour, box.ip, 80)

    works()
    assert not lab.network("web").plan
    daemon.stop()
    daemon.start()
    works()
    assert not lab.network("web").plan, "nothing to do after a restart of docker"
    assert theirs() == before
    lab.clear()
    assert theirs() == before
    assert "mini" not in sh("iptables-save; nft list tables").lower()
