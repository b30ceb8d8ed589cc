# SPDX-License-Identifier: GPL-3.0-or-later
"""A container with users of its own: root inside, nobody outside."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.users import COUNT

from .waiting import eventually

PRIVATE = {"userns_mode": "private"}


def sh(host: Any, script: str, name: str = "c", **options: Any) -> str:
    done = host.exec(name, "sh", "-c", script, **options)
    return (done.stdout + done.stderr).decode().strip()


def test_root_inside_is_nobody_outside(host: Any) -> None:
    host.container(**PRIVATE)
    first = host.record().userns
    status = Path(f"/proc/{host.pid()}/status").read_text()
    assert f"Uid:\t{first}\t{first}\t{first}\t{first}" in status
    assert f"Gid:\t{first}\t{first}\t{first}\t{first}" in status
    assert sh(host, "id -u; cat /proc/self/uid_map").split() == ["0", "0", str(first), str(COUNT)]
    assert os.readlink(f"/proc/{host.pid()}/ns/user") != os.readlink("/proc/self/ns/user")
    assert "0000000000000000" not in sh(host, "grep CapEff /proc/self/status")
    assert not host.container(**PRIVATE).plan
    host.absent("c")


def test_its_files_are_its_own_and_on_the_disk_they_are_roots(host: Any) -> None:
    host.container(**PRIVATE, volumes=["data:/data"], user="alice")
    assert sh(host, "stat -c %u:%g /bin/busybox /etc/hosts /data", user="root").split() == ["0:0"] * 3
    sh(host, "echo x > /root-file; mkdir /var/dir; echo y > /data/file; chown alice:wheel /data/file", user="root")
    sh(host, "echo z > /tmp/alice-file")
    upper = Path(host.paths.container(host.record().id, "upper"))
    owners = {path: (path.stat().st_uid, path.stat().st_gid) for path in upper.rglob("*")}
    assert owners[upper / "root-file"] == (0, 0)
    assert owners[upper / "var" / "dir"] == (0, 0)
    assert owners[upper / "tmp" / "alice-file"] == (1000, 1000)
    data = Path(host.paths.volume_data("data"), "file").stat()
    assert (data.st_uid, data.st_gid) == (1000, 10)
    assert sh(host, "stat -c %u:%g /data/file") == "1000:10"
    host.absent("c")
    subprocess.run(["rm", "-rf", f"{host.paths.volumes}/data"], check=True)


def test_its_own_places_can_be_written(host: Any) -> None:
    host.container(**PRIVATE, tmpfs=["/scratch"], working_dir="/made/here", shm_size="1M")
    script = (
        "for d in /scratch /dev/shm /tmp /made/here /dev; do echo x > $d/file || echo no $d; done; echo > /dev/null"
    )
    assert sh(host, script) == ""
    assert sh(host, "stat -c %u /scratch /made/here /dev/null /dev").split() == ["0"] * 4
    host.absent("c")


def test_what_is_the_hosts_stays_the_hosts(host: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    host.container(**PRIVATE, capabilities=["ALL"])
    first = host.record().userns
    assert sh(host, "hostname other 2>&1 || echo refused").endswith("refused"), "the name belongs to the host's users"
    assert "refused" in sh(host, "echo 1 > /proc/sys/kernel/panic || echo refused")
    assert "refused" in sh(host, "mknod /dev/disk b 8 0 || echo refused")
    assert sh(host, "mount -t tmpfs none /tmp && echo mounted") == "mounted"
    mapped = stat.S_IMODE(secret.stat().st_mode)
    assert mapped == 0o600
    assert first >= 524288
    host.absent("c")


def test_its_network_is_its_own(host: Any) -> None:
    host.network("lan")
    host.container(**PRIVATE, networks=[{"name": "lan"}], capabilities=["NET_ADMIN"], published_ports=["8080:80"])
    assert sh(host, "busybox ip link set eth0 mtu 1300 && cat /sys/class/net/eth0/mtu") == "1300"
    host.container(**PRIVATE, restart=True)
    assert sh(host, "busybox ip link set eth0 mtu 1200 && cat /sys/class/net/eth0/mtu") == "1200"
    assert not host.container(**PRIVATE).plan
    host.absent("c")
    host.no_network("lan")


def test_no_two_share_a_range(host: Any) -> None:
    for name in ("a", "b"):
        host.container(name, **PRIVATE)
    assert abs(host.record("a").userns - host.record("b").userns) >= COUNT
    before = host.record("b").userns
    host.container("b", **PRIVATE, env={"A": "1"})
    assert host.record("b").userns not in (0, host.record("a").userns, before)
    host.absent("a", "b")


def test_users_are_looked_up_and_dropped(host: Any) -> None:
    host.container(**PRIVATE, user="alice", groups=["audio"], restart_policy="always", stop_timeout=0)
    first = host.record().userns
    assert f"Uid:\t{first + 1000}" in Path(f"/proc/{host.pid()}/status").read_text()
    assert sorted(sh(host, "id -G").split(), key=int) == ["10", "29", "1000"]
    assert "CapEff:\t0000000000000000" in sh(host, "grep CapEff /proc/self/status")
    pid = host.pid()
    os.kill(pid, 9)
    eventually(lambda: host.pid() not in (0, pid))
    assert f"Uid:\t{first + 1000}" in Path(f"/proc/{host.pid()}/status").read_text(), "its monitor starts it alike"
    host.absent("c")


@pytest.mark.parametrize("clash", [{"privileged": True}, {"network_mode": "host"}, {"pid_mode": "host"}])
def test_what_cannot_be_had_with_it(host: Any, clash: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="userns_mode: private cannot be combined"):
        host.container(**PRIVATE, **clash)
