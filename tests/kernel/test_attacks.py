# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks that others have fallen for, beside those in test_container_confinement.py. Each test fails without its
defence: that was tried by taking it away.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import MiniError

RACES = 25
TRAP = "#!/bin/sh\necho sprung >> {marker}\n"


def upper(host: Any, name: str = "c") -> Path:
    """What the image, or an earlier life of the container, has put into its root."""
    return Path(host.paths.container(host.record(name).id, "upper"))


@pytest.mark.parametrize("number", range(3, 12))
def test_exec_cannot_enter_a_directory_of_the_host_by_a_descriptor(host: Any, number: int) -> None:
    """CVE-2024-21626, by way of exec."""
    host.container()
    with pytest.raises(MiniError):
        host.exec("c", "pwd", cwd=f"/proc/self/fd/{number}")
    host.absent("c")


@pytest.mark.parametrize("number", range(3, 12))
def test_a_link_of_the_image_as_the_working_directory(host: Any, number: int) -> None:
    """CVE-2024-21626: the name says nothing, where it leads does."""
    host.container(state="present", working_dir="/work")
    (upper(host) / "work").symlink_to(f"/proc/self/fd/{number}")
    with pytest.raises(MiniError):
        host.container()
    host.absent("c")


@pytest.mark.parametrize("target", ["/proc", "/proc/self/attr", "/proc/sys/kernel", "/proc/1"])
@pytest.mark.parametrize("kind", ["bind", "volume", "tmpfs"])
def test_nothing_is_mounted_over_proc(host: Any, tmp_path: Path, target: str, kind: str) -> None:
    """CVE-2019-19921, CVE-2025-52881: labels and settings would be written to files of the attacker's choice."""
    source = {"bind": str(tmp_path), "volume": "v"}.get(kind)
    options = {"volumes": [f"{source}:{target}"]} if source else {"tmpfs": [target]}
    with pytest.raises(MiniError, match="proc"):
        host.container(**options)
    host.absent("c")
    _no_volumes(host)


def _no_volumes(host: Any) -> None:
    subprocess.run(["rm", "-rf", host.paths.volumes], check=True)


def test_dev_of_an_image_is_a_link(host: Any, tmp_path: Path) -> None:
    """Device nodes would be made, and files removed, in a directory of the host."""
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "null").write_text("mine")
    host.container(state="present")
    # So that the link leads somewhere inside as well.
    (upper(host) / str(tmp_path).lstrip("/") / "canary").mkdir(parents=True)
    (upper(host) / "dev").symlink_to(tmp_path / "canary")
    with pytest.raises(MiniError, match="ordinary directory"):
        host.container()
    assert [path.name for path in (tmp_path / "canary").iterdir()] == ["null"]
    host.absent("c")


def test_a_mount_target_that_is_swapped_for_a_link(host: Any, tmp_path: Path) -> None:
    """CVE-2021-30465: another container renames a directory and a link to the host's in a volume that both share."""
    shared, canary = tmp_path / "shared", tmp_path / "canary"
    for path in (shared / "a", canary, tmp_path / "mounted"):
        path.mkdir(parents=True)
    (tmp_path / "mounted" / "file").touch()
    (shared / "link").symlink_to(canary)
    swap = "cd /shared; while :; do mv -T a b; mv -T link a; mv -T a link; mv -T b a; done 2>/dev/null"
    host.container("attacker", command=["sh", "-c", swap], volumes=[f"{shared}:/shared"])
    volumes = [f"{shared}:/shared", f"{tmp_path}/mounted:/shared/a/target/deep"]
    for _round in range(RACES):
        with contextlib.suppress(MiniError):
            host.container("victim", volumes=volumes)
        host.absent("victim")
        assert list(canary.iterdir()) == []
    host.absent("attacker")


@pytest.mark.parametrize("directory", ["/x/../../../../{canary}", "/proc/self/cwd/{canary}", "/proc/1/root/{canary}"])
def test_a_working_directory_that_is_made_stays_inside(host: Any, tmp_path: Path, directory: str) -> None:
    """It is made by root, before the change of root."""
    name = f"{str(tmp_path).lstrip('/')}/made"
    with contextlib.suppress(MiniError):
        host.container(working_dir=directory.format(canary=name))
    assert not (tmp_path / "made").exists()
    host.absent("c")


@pytest.mark.parametrize("content", ["large", "fifo", "device", "outside", "long line", "junk"])
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_files_of_users_that_harm_their_reader(host: Any, name: str, content: str) -> None:
    """CVE-2026-47262 and its kin: they are the image's, and read by root."""
    host.container(state="present", user="alice:wheel")
    path = upper(host) / "etc" / name
    path.parent.mkdir(exist_ok=True)
    if content == "large":
        with path.open("wb") as handle:
            handle.truncate(1 << 40)
    elif content == "fifo":
        os.mkfifo(path)
    elif content == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    elif content == "outside":
        path.symlink_to(f"/../../../../../etc/{name}")
    elif content == "long line":
        path.write_text("alice:x:1000:" + "9" * (1 << 21) + "\n")
    else:
        path.write_bytes(b"\xff\xfe:\x00:::\nalice\nwheel:x\nalice:x:-1:1000::/:\nwheel:x:99999999999:\n")
    reason = f"/etc/{name} is larger than" if content in ("large", "long line") else "no (user|group)|is not a user"
    with pytest.raises(MiniError, match=reason):
        host.container()
    host.absent("c")


@pytest.mark.parametrize("user", ["1234", "4294967295", "4294967296", "0x0", "1e9", "-1", "+0"])
def test_a_number_that_the_image_gives_as_a_name(host: Any, user: str) -> None:
    """CVE-2024-40635, CVE-2026-46680: never root by a name that looks like another number."""
    host.container(state="present", user=user)
    path = upper(host) / "etc" / "passwd"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{user}:x:0:0::/:/bin/sh\nroot:x:0:0::/root:/bin/sh\n")
    try:
        host.container()
    except MiniError:
        assert not host.pid()
    else:
        # What is no number is a name, and then the image says who that is.
        assert host.exec("c", "id", "-u").stdout.decode().strip() == ("1234" if user == "1234" else "0")
        assert user == "1234" or not user.isdigit()
    host.absent("c")


def test_no_socket_without_a_path(host: Any) -> None:
    """CVE-2020-15257: a container in the host's network could connect to an engine's."""
    before = _abstract_sockets()
    host.container(network_mode="host")
    assert host.exec("c", "sh", "-c", "cat /proc/net/unix").stdout.decode().count("@") == before
    assert _abstract_sockets() == before
    host.absent("c")


def _abstract_sockets() -> int:
    return Path("/proc/thread-self/net/unix").read_text().count("@")


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A caller whose environment, current directory and temporary directory are an attacker's; the marker."""
    marker, traps = tmp_path / "marker", tmp_path / "traps"
    traps.mkdir(mode=0o777)
    for name in ("iptables", "iptables-save", "iptables-restore", "ip", "python3", "mount", "xz", "zstd", "conntrack"):
        (traps / name).write_text(TRAP.format(marker=marker))
        (traps / name).chmod(0o755)
    for name in ("json", "os", "site", "sitecustomize", "usercustomize", "encodings", "struct"):
        (traps / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write('sprung')\n")
    for name in ("PATH", "PYTHONPATH", "PYTHONHOME", "TMPDIR", "HOME", "LD_LIBRARY_PATH", "XTABLES_LIBDIR"):
        monkeypatch.setenv(name, str(traps))
    monkeypatch.setenv("PYTHONSTARTUP", str(traps / "site.py"))
    monkeypatch.chdir(traps)
    before = sorted(os.listdir(traps))
    yield marker
    assert sorted(os.listdir(traps)) == before


def test_the_callers_environment_leads_nowhere(host: Any, trapped: Path) -> None:
    """Programs, Python modules and temporary files come from fixed places: of the host, or below the state root."""
    host.network()
    host.container(networks=[{"name": "lan"}], published_ports=["8080:80"])
    assert host.exec("c", "true").rc == 0
    host.absent("c")
    host.no_network("lan")
    assert not trapped.exists()


def test_programs_of_the_image_are_not_the_engines(host: Any) -> None:
    """CVE-2026-41567: a helper that is looked up in the container's root would run with the host's privileges."""
    host.network()
    host.container(state="present", networks=[{"name": "lan"}], published_ports=["8080:80"])
    for directory in ("usr/sbin", "usr/bin", "sbin"):
        for name in ("iptables", "iptables-restore", "ip", "mount", "xz", "zstd", "gzip", "python3"):
            path = upper(host) / directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(TRAP.format(marker="/sprung"))
            path.chmod(0o755)
    host.container()
    host.exec("c", "true")
    assert not (upper(host) / "sprung").exists()
    host.absent("c")
    host.no_network("lan")


def test_values_of_the_environment_are_in_no_command_line_and_in_no_file_for_others(host: Any) -> None:
    """CVE-2019-13509: who may look at processes must not read passwords."""
    canary = "canary-of-the-environment"
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    if canary.encode() in Path("/proc", pid, "cmdline").read_bytes():
                        seen.append(pid)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _round in range(3):
            host.container(env={"PASSWORD": canary})
            host.exec("c", "true", env={"OTHER": canary})
            known = {path for path in Path(host.paths.state_root).rglob("*") if path.is_file() and _holds(path, canary)}
            assert known
            assert all(path.stat().st_mode & 0o077 == 0 for path in known)
            host.absent("c")
    finally:
        over.set()
        watcher.join()
    assert seen == []


def _holds(path: Path, canary: str) -> bool:
    return not path.is_symlink() and canary.encode() in path.read_bytes()


def test_the_launcher_is_isolated(host: Any) -> None:
    """It outlives the task: neither a module of the user's nor one of the current directory belongs to it."""
    host.container()
    monitor = host.state()["monitor"]["pid"]
    words = Path(f"/proc/{monitor}/cmdline").read_bytes().split(b"\0")
    assert words[0] == os.fsencode(os.path.realpath(sys.executable))
    assert {b"-I", b"-S"} <= set(words)
    assert os.readlink(f"/proc/{monitor}/cwd") == "/"
    assert set(Path(f"/proc/{monitor}/environ").read_bytes().split(b"\0")) - {b""} == {
        b"PATH=/usr/sbin:/usr/bin:/sbin:/bin"
    }
    host.absent("c")
