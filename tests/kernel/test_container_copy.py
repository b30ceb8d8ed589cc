# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies into and out of containers, running or not, and what a container may do about it."""

from __future__ import annotations

import base64
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import (
    BadInput,
    Busy,
    Conflict,
    MiniError,
    NotFound,
)
from ansible_collections.mini.containers.plugins.module_utils.engine.copies.converge import copy
from ansible_collections.mini.containers.plugins.module_utils.glue.copy import copy_spec, diff
from ansible_collections.mini.containers.plugins.module_utils.linux import files

from .waiting import eventually


def transfer(host: Any, container: str = "c", check: bool = False, **options: Any) -> list[str]:
    """What the task `mini_container_copy` does: the plan, a line each."""
    spec = copy_spec({"container": container, **options})
    return list(copy(host.paths, spec, check=check).plan.describe())


def steps(host: Any, **options: Any) -> list[str]:
    return [line.split(" ")[0] for line in transfer(host, **options)]


@pytest.fixture(params=["running", "stopped", "never started"])
def box(host: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A container with a volume, in each state."""
    state = "present" if request.param == "never started" else "started"
    host.container(volumes=["v:/vol"], user="alice", state=state)
    if request.param == "stopped":
        host.container(state="stopped")
    yield host
    host.absent("c")
    files.remove_tree(host.paths.volumes)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory on the host."""
    top = tmp_path / "tree"
    (top / "sub" / "empty").mkdir(parents=True)
    (top / "file").write_text("one\n")
    (top / "sub" / "script").write_text("#!/bin/sh\n")
    (top / "sub" / "script").chmod(0o4755)
    (top / "link").symlink_to("sub/script")
    (top / "away").symlink_to("/etc/passwd")
    os.mkfifo(top / "pipe")
    with open(top / "big", "wb") as handle:
        handle.write(os.urandom(3 << 20))
        handle.truncate(1 << 30)
    return top


def test_a_file_goes_in_and_comes_out(box: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"one\0\xff")
    (tmp_path / "file").chmod(0o640)
    options = {"path": str(tmp_path / "file"), "container_path": "/tmp/copy"}
    assert transfer(box, check=True, **options) == ["create /tmp/copy: the file does not exist"]
    assert transfer(box, check=True, **options) == transfer(box, **options)
    assert transfer(box, **options) == []
    back = {"from_container": True, "src": "/tmp/copy", "dest": str(tmp_path / "back")}
    assert steps(box, check=True, **back) == ["create"]
    assert not (tmp_path / "back").exists()
    assert steps(box, **back) == ["create"]
    assert steps(box, **back) == []
    assert (tmp_path / "back").read_bytes() == b"one\0\xff"
    found = (tmp_path / "back").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 0, 0)
    (tmp_path / "file").write_bytes(b"two\0\xff")
    assert transfer(box, **options) == ["replace /tmp/copy: its content differs"]
    box.container(state="started")
    assert box.exec("c", "stat", "-c", "%a %u %g %n", "/tmp/copy").stdout == b"640 1000 1000 /tmp/copy\n"
    assert box.exec("c", "cat", "/tmp/copy").stdout == b"two\0\xff"


def test_a_tree_goes_in_and_comes_out(box: Any, tree: Path, tmp_path: Path) -> None:
    options = {"src": str(tree), "dest": "/vol/tree"}
    assert steps(box, **options) == ["create"] * 8
    assert steps(box, **options) == []
    data = Path(box.paths.volume_data("v")) / "tree"
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == [
        "away",
        "big",
        "file",
        "link",
        "sub",
        "sub/empty",
        "sub/script",
    ]
    assert (data / "big").stat().st_blocks * 512 < 8 << 20
    assert stat.S_IMODE((data / "sub" / "script").stat().st_mode) == 0o4755
    assert os.readlink(data / "away") == "/etc/passwd"
    back = {"from_container": True, "src": "/vol/tree", "dest": str(tmp_path / "back")}
    assert steps(box, **back) == ["create"] * 8
    assert steps(box, **back) == []
    assert (tmp_path / "back" / "big").read_bytes()[: 3 << 20] == (tree / "big").read_bytes()[: 3 << 20]
    assert stat.S_IMODE((tmp_path / "back" / "sub" / "script").stat().st_mode) == 0o755
    (tree / "sub" / "script").write_text("#!/bin/no\n")
    (tree / "link").unlink()
    (tree / "link").mkdir()
    (data / "sub" / "empty").rmdir()
    (data / "sub" / "empty").write_text("in the way")
    (data / "more").write_text("stays")
    assert [line.split(":")[0] for line in transfer(box, **options)] == [
        "replace /vol/tree/link",
        "replace /vol/tree/sub/empty",
        "replace /vol/tree/sub/script",
    ]
    assert steps(box, **options) == []
    assert (data / "more").read_text() == "stays"


def test_check_mode_leaves_no_trace(host: Any, tmp_path: Path) -> None:
    host.container(volumes=["v:/not/there/yet"], state="present")
    before = sorted(os.walk(host.paths.container(host.record().id)))
    assert steps(host, check=True, content="x", container_path="/tmp/x") == ["create"]
    assert steps(host, from_container=True, src="/etc/passwd", dest=f"{tmp_path}/passwd", check=True) == ["create"]
    assert steps(host, from_container=True, src="/etc/passwd", dest=f"{tmp_path}/passwd") == ["create"]
    assert sorted(os.walk(host.paths.container(host.record().id))) == before
    host.absent("c")
    files.remove_tree(host.paths.volumes)


def test_a_content(box: Any) -> None:
    options = {"content": "grüße\n", "container_path": "/tmp/x", "owner_id": 0, "group_id": 29, "mode": "0600"}
    assert steps(box, **options) == ["create"]
    assert steps(box, **options) == []
    assert transfer(box, **{**options, "mode": 0o644, "owner_id": 5}) == [
        "set-attributes /tmp/x: mode 0600 → 0644, owner 0:29 → 5:29"
    ]
    encoded = base64.b64encode("grüße\n".encode()).decode()
    assert steps(box, **{**options, "mode": 0o644, "owner_id": 5, "content": encoded}, content_is_b64=True) == []
    assert steps(box, **options, force=False) == []
    assert steps(box, **options, force=True) == ["replace"]
    assert steps(box, **options, force=True) == ["replace"]
    assert steps(box, **options) == []


def test_the_diff_is_both_contents(box: Any, tmp_path: Path) -> None:
    def shown(text: str, **options: str) -> dict[str, Any]:
        (tmp_path / "source").write_text(text)
        origin = options or {"src": str(tmp_path / "source")}
        spec = copy_spec({"container": "c", "container_path": "/tmp/x", **origin})
        return diff(copy(box.paths, spec, check=True, diff=True))

    assert shown("new") == {"before": "", "after": "new", "before_header": "/tmp/x", "after_header": "/tmp/x"}
    transfer(box, content="old", container_path="/tmp/x")
    assert (shown("new")["before"], shown("new")["after"]) == ("old", "new")
    assert shown("", content="new") == {}
    (tmp_path / "source").write_text("old")
    transfer(box, src=f"{tmp_path}/source", container_path="/tmp/x")
    assert shown("old") == {}
    assert shown("a\0b")["src_binary"] == 1
    assert shown("x" * 200_000)["src_larger"] == 102400


@pytest.mark.parametrize(
    ("follow", "changed", "kept"), [(False, "regular file", "old"), (True, "symbolic link", "new")]
)
def test_a_link_at_the_end(host: Any, follow: bool, changed: str, kept: str) -> None:
    host.container()
    host.exec("c", "sh", "-c", "echo old > /tmp/real; ln -s ../../../tmp/real /tmp/link; ln -s loop /tmp/loop")
    assert steps(host, content="new\n", container_path="/tmp/link", follow=follow) == ["replace"]
    assert host.exec("c", "stat", "-c", "%F", "/tmp/link").stdout.decode().strip() == changed
    assert host.exec("c", "cat", "/tmp/real").stdout.decode().strip() == kept
    if follow:
        with pytest.raises(NotFound, match="leads nowhere"):
            transfer(host, content="x", container_path="/tmp/loop", follow=True)
    host.absent("c")


def test_into_a_directory(host: Any, tmp_path: Path) -> None:
    host.container()
    host.exec("c", "sh", "-c", "mkdir /tmp/d && ln -s d /tmp/l")
    (tmp_path / "f").write_text("x")
    assert transfer(host, src=f"{tmp_path}/f", dest="/tmp/d")[0].startswith("create /tmp/d/f:")
    assert transfer(host, src=f"{tmp_path}/f", dest="/tmp/l/") == []
    with pytest.raises(BadInput, match="/tmp/d in c is a directory"):
        transfer(host, content="x", container_path="/tmp/d")
    with pytest.raises(NotFound, match="there is no directory /nowhere for /nowhere/f"):
        transfer(host, content="x", container_path="/nowhere/f")
    with pytest.raises(NotFound, match="/tmp/none does not exist"):
        transfer(host, from_container=True, src="/tmp/none", dest=f"{tmp_path}/none")
    with pytest.raises(BadInput, match="it is for a file"):
        transfer(host, src=str(tmp_path), dest="/tmp/t", mode="0600")
    with pytest.raises(NotFound, match="container nobody does not exist"):
        transfer(host, "nobody", content="x", container_path="/x")
    assert transfer(host, "nobody", check=True, content="x", container_path="/x") == [
        "create /x: container nobody does not exist yet"
    ]
    for check in (True, False):
        with pytest.raises(Conflict, match="/etc/hosts is a mount of its own"):
            transfer(host, content="x", container_path="/etc/hosts", check=check)
    assert b"127.0.0.1" in host.exec("c", "cat", "/etc/hosts").stdout
    assert steps(host, from_container=True, src="/etc/hosts", dest=f"{tmp_path}/hosts") == ["create"]
    host.absent("c")


def test_a_directory_with_something_in_it_is_not_replaced(host: Any, tmp_path: Path) -> None:
    """Least of all one with a volume in it."""
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "d").write_text("a file")
    host.container(volumes=["v:/tmp/t/d/vol"])
    host.exec("c", "touch", "/tmp/t/d/vol/kept")
    with pytest.raises(Conflict, match="/tmp/t/d is a directory with something in it"):
        transfer(host, src=f"{tmp_path}/t", dest="/tmp/t")
    assert host.exec("c", "ls", "/tmp/t/d/vol").stdout == b"kept\n"
    host.exec("c", "mkdir", "/tmp/u", "/tmp/u/d")
    assert steps(host, src=f"{tmp_path}/t", dest="/tmp/u") == ["replace"]
    host.absent("c")
    files.remove_tree(host.paths.volumes)


def test_a_container_with_users_of_its_own(host: Any, tree: Path, tmp_path: Path) -> None:
    """Owners are those inside, whether it runs or not, and what comes out belongs to who runs the task."""
    host.container(userns_mode="private", user="alice", volumes=["v:/vol"], stop_timeout=0)
    for place in ("/tmp", "/vol"):
        assert steps(host, src=str(tree), dest=f"{place}/tree") == ["create"] * 8
        assert steps(host, src=str(tree), dest=f"{place}/tree") == []
        for name in ("", "/file", "/link", "/sub/script"):
            shown = host.exec("c", "stat", "-c", "%u:%g", f"{place}/tree{name}").stdout
            assert shown == b"1000:1000\n"
        assert steps(host, content="x", container_path=f"{place}/root", owner_id=0, group_id=0, mode="4711") == [
            "create"
        ]
        assert host.exec("c", "stat", "-c", "%u:%g %a", f"{place}/root").stdout == b"0:0 4711\n"
        back = {"from_container": True, "src": f"{place}/tree", "dest": f"{tmp_path}/back{place}"}
        (tmp_path / "back").mkdir(exist_ok=True)
        assert steps(host, **back) == ["create"] * 8
        assert {path.lstat().st_uid for path in (tmp_path / "back").rglob("*")} == {0}
        assert steps(host, **back) == []
    assert Path(host.paths.volume_data("v"), "tree", "file").stat().st_uid == 1000
    host.container(state="stopped")
    for place in ("/tmp", "/vol"):
        assert steps(host, src=str(tree), dest=f"{place}/tree") == []
        assert steps(host, content="x", container_path=f"{place}/root", owner_id=0, group_id=0, mode="4711") == []
        assert steps(host, content="y", container_path=f"{place}/late") == ["create"]
    host.container(state="started")
    assert host.exec("c", "stat", "-c", "%u:%g", "/tmp/late", "/vol/late").stdout == b"1000:1000\n" * 2
    host.absent("c")
    files.remove_tree(host.paths.volumes)
    assert os.geteuid() == 0
    (tmp_path / "mine").write_text("after it all, files are ours again")
    assert (tmp_path / "mine").stat().st_uid == 0


def test_a_first_process_that_has_changed_its_root(host: Any) -> None:
    """Paths mean what they mean for a command that is executed in the container."""
    script = (
        "mkdir -p /jail/bin /jail/tmp; cp /bin/busybox /jail/bin; exec busybox chroot /jail /bin/busybox sleep 1000"
    )
    host.container(command=["sh", "-c", script], stop_timeout=0)
    eventually(lambda: os.readlink(f"/proc/{host.pid()}/root").endswith("/jail"))
    transfer(host, content="x", container_path="/tmp/x")
    assert host.exec("c", "cat", "/tmp/x").stdout == b"x"
    assert host.exec("c", "ls", "/jail/tmp").stdout == b""
    host.absent("c")


def test_a_container_that_is_about_to_be_started_again(host: Any) -> None:
    """Its monitor may mount its layers at any moment."""
    host.container(command="false", restart_policy="always")
    eventually(lambda: host.state().get("restart_count", 0) >= 4)
    assert "about to be started again" in eventually(lambda: _refused(host))
    host.container(state="stopped")
    assert steps(host, content="x", container_path="/tmp/y") == ["create"]
    host.absent("c")


def _refused(host: Any) -> str:
    """Why a copy cannot be made just now. In one of the container's short lives it can be, or ends with that."""
    try:
        transfer(host, content="x", container_path="/tmp/x")
    except Busy as exc:
        return str(exc)
    except (MiniError, OSError):
        pass
    return ""


def test_a_root_that_is_read_only(host: Any) -> None:
    for state in ("started", "stopped"):
        host.container(read_only=True, volumes=["v:/vol"], state=state)
        with pytest.raises(MiniError, match="Read-only file system"):
            transfer(host, content="x", container_path="/tmp/x")
        assert steps(host, content=state, container_path="/vol/x") in (["create"], ["replace"])
    host.absent("c")
    files.remove_tree(host.paths.volumes)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"container_path": "/x"}, "one of path, src and content is needed"),
        ({"container_path": "x", "content": ""}, "container_path: 'x' is not an absolute path"),
        ({"container_path": "/x/..", "content": ""}, "ends in no name"),
        ({"container_path": "/x", "content": "?", "content_is_b64": True}, "is not Base64"),
        ({"container_path": "/x", "content": "é", "content_is_b64": True}, "is not Base64"),
        ({"container_path": "/x", "content": "", "mode": "rw"}, "mode: 'rw' is not a mode"),
        ({"container_path": "/x", "content": "", "mode": 0o644, "mode_parse": "octal_string_only"}, "octal digits"),
        ({"container_path": "/x", "content": "", "owner_id": -1, "group_id": 0}, "owner_id: -1 is not an id"),
        ({"container_path": "/x", "content": "", "from_container": True}, "no content to give"),
        ({"container_path": "/x", "path": "x"}, "path: 'x' is not an absolute path"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text):
        copy_spec({"container": "c", **options})


@pytest.mark.parametrize(
    ("mode", "way", "expected"),
    [
        ("0644", "modern", 0o644),
        ("644", "modern", 0o644),
        (0o644, "modern", 0o644),
        ("0o644", "octal_string_only", 0o644),
        ("420", "legacy", 0o644),
        (0o644, "legacy", 0o644),
    ],
)
def test_ways_to_read_a_mode(mode: Any, way: str, expected: int) -> None:
    spec = copy_spec({"container": "c", "container_path": "/x", "content": "", "mode": mode, "mode_parse": way})
    assert spec.mode == expected


def test_links_out_of_the_container_stay_inside(host: Any, tmp_path: Path) -> None:
    canary = tmp_path / "host"
    canary.mkdir()
    (canary / "secret").write_text("host")
    host.container()
    host.exec("c", "sh", "-c", f"ln -s {canary} /tmp/away; ln -s ../../../../../../{canary}/secret /tmp/file")
    for source in ("/tmp/away/secret", "/tmp/file", "/proc/1/root/etc/passwd", "/proc/self/cwd/etc/passwd"):
        with pytest.raises((MiniError, OSError)):
            transfer(host, from_container=True, src=source, dest=f"{tmp_path}/stolen", follow=True)
    with pytest.raises(MiniError):
        transfer(host, content="x", container_path="/tmp/away/secret")
    host.exec("c", "mkdir", "-p", str(canary))
    transfer(host, content="x", container_path="/tmp/away/secret")
    assert host.exec("c", "cat", f"{canary}/secret").stdout == b"x"
    assert (canary / "secret").read_text() == "host"
    assert not (tmp_path / "stolen").exists()
    host.absent("c")


def test_a_copy_on_the_host_is_never_written_through(host: Any, tmp_path: Path) -> None:
    """A container gives a link out first, and then a directory of the same name."""
    canary = tmp_path / "host"
    canary.mkdir()
    (canary / "passwd").write_text("host")
    host.container()
    host.exec("c", "sh", "-c", f"mkdir /tmp/t; ln -s {canary} /tmp/t/a; ln -s {canary}/passwd /tmp/t/b")
    back = {"from_container": True, "src": "/tmp/t", "dest": f"{tmp_path}/back"}
    assert steps(host, **back) == ["create"] * 3
    host.exec("c", "sh", "-c", "rm /tmp/t/*; mkdir /tmp/t/a; echo evil > /tmp/t/a/passwd; echo evil > /tmp/t/b")
    assert sorted(steps(host, **back)) == ["create", "replace", "replace"]
    assert (canary / "passwd").read_text() == "host"
    assert not (tmp_path / "back" / "a").is_symlink()
    assert (tmp_path / "back" / "a" / "passwd").read_text() == "evil\n"
    host.absent("c")


@pytest.mark.parametrize("local_follow", [True, False])
def test_a_link_that_a_container_gave_out_leads_nowhere(host: Any, tmp_path: Path, local_follow: bool) -> None:
    """First a link to where the host has something and the container nothing, then something to put there."""
    canary = tmp_path / "host"
    canary.mkdir()
    (canary / "passwd").write_text("host")
    (tmp_path / "linked").symlink_to(canary)
    before = _look(canary)
    host.container()
    back = {"from_container": True, "src": "/tmp/t", "dest": f"{tmp_path}/back", "local_follow": local_follow}
    for target, trap in (("passwd", "echo evil > /tmp/t"), ("", "echo evil > /tmp/t"), ("", "mkdir /tmp/t")):
        host.exec("c", "sh", "-c", f"rm -rf /tmp/t; ln -s {canary}/{target} /tmp/t")
        assert steps(host, **back)[0] in ("create", "replace")
        assert (tmp_path / "back").is_symlink()
        host.exec("c", "sh", "-c", f"rm /tmp/t; {trap}; [ -f /tmp/t ] || echo evil > /tmp/t/passwd")
        assert steps(host, **back)[0] == "replace"
        assert _look(canary) == before
        assert not (tmp_path / "back").is_symlink()
        files.remove_tree(f"{tmp_path}/back")
    assert steps(host, **{**back, "dest": f"{tmp_path}/linked/"}) == ["replace"]
    assert (canary / "passwd").read_text() == "evil\n"
    host.absent("c")


SWAP = """
cd /tmp; mkdir real; echo inside > real/secret
while :; do
  mv real dir; mv dir real
  ln -s {outside} dir; rm -f dir
done
"""


def test_a_container_that_swaps_directories_for_links(host: Any, tmp_path: Path) -> None:
    """In a loop, under a thousand copies: no byte of the host is read, none is written."""
    outside = tmp_path / "host"
    outside.mkdir()
    (outside / "secret").write_text("host")
    before = _look(outside)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret").write_text("from us")
    host.container(command=["sh", "-c", SWAP.replace("mv -T", "mv").format(outside=outside)], stop_timeout=0)
    outcomes = {"done": 0, "refused": 0}
    for number in itertools.count():
        if number >= 250 and min(outcomes.values()):
            break
        assert number < 5000, outcomes
        for options in (
            {"from_container": True, "src": "/tmp/dir/secret", "dest": f"{tmp_path}/got"},
            {"from_container": True, "src": "/tmp/dir", "dest": f"{tmp_path}/all", "follow": True},
            {"content": str(number), "container_path": "/tmp/dir/secret"},
            {"src": f"{tmp_path}/in", "dest": "/tmp/dir"},
        ):
            try:
                transfer(host, **options)
                outcomes["done"] += 1
            except (MiniError, OSError):
                outcomes["refused"] += 1
            assert not (tmp_path / "all").is_symlink()
            for got in (tmp_path / "got", tmp_path / "all" / "secret"):
                assert not got.is_file() or got.is_symlink() or got.read_text() != "host"
    assert _look(outside) == before
    host.absent("c")


def _look(path: Path) -> list[Any]:
    found = []
    for one in sorted([path, *path.rglob("*")]):
        look = one.lstat()
        found.append((str(one), look.st_mode, look.st_uid, look.st_ino, look.st_size, look.st_mtime_ns))
    return found
