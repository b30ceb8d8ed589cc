# SPDX-License-Identifier: GPL-3.0-or-later
"""Contexts and images that want more than they are given."""

from __future__ import annotations

import os
import resource
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, Conflict, MiniError, NotFound
from ansible_collections.mini.containers.plugins.module_utils.image.store import ImageStore


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host's that nothing may read or write."""
    found = tmp_path / "canary"
    found.mkdir()
    (found / "secret").write_text("secret")
    return found


def test_what_is_no_file_is_never_opened(builder: Any) -> None:
    """A pipe would make us wait for ever, a device act."""
    context = builder.context
    os.mkfifo(context / "pipe")
    os.mknod(context / "device", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    (context / "loop").symlink_to("loop")
    (context / "up").symlink_to("..")
    (context / "self").symlink_to(".")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(context / "socket"))
        builder.build("FROM scratch\nCOPY . /c/\nADD pipe /p\n")
        assert builder.actions() == []
    assert builder.tree() == ["10644 0:0 p"]
    copied = Path(ImageStore(builder.paths).layer_dirs(builder.image())[0]) / "c"
    assert stat.S_ISFIFO((copied / "pipe").lstat().st_mode)
    assert (copied / "device").lstat().st_rdev == os.makedev(1, 5)
    assert os.readlink(copied / "loop") == "loop"
    assert not (copied / "socket").exists()
    with pytest.raises(NotFound, match="there is no loop"):
        builder.build("FROM scratch\nCOPY loop /\n")
    with pytest.raises(NotFound, match="there is no self/loop"):
        builder.build("FROM scratch\nCOPY self/loop /\n")


def test_a_mark_of_the_overlay_is_no_file(builder: Any) -> None:
    os.mknod(builder.context / "gone", stat.S_IFCHR, os.makedev(0, 0))
    with pytest.raises(BadInput, match="Containerfile:2: /etc/gone: a character device 0:0 is a mark"):
        builder.build("FROM box\nCOPY . /etc/\n")
    builder.write(_dotwh_dotpasswd="")
    (builder.context / "gone").unlink()
    with pytest.raises(BadInput, match=r"\.wh\.passwd cannot be in an image"):
        builder.build("FROM box\nCOPY . /etc/\n")


@pytest.mark.parametrize("source", ["link", "link/secret", "up/canary/secret"])
def test_no_link_of_a_context_leads_outside(builder: Any, canary: Path, source: str) -> None:
    (builder.context / "link").symlink_to(canary)
    (builder.context / "up").symlink_to("../../../../../../../..")
    for text in (f"COPY {source} /x", f"RUN --mount=type=bind,source={source},target=/x true"):
        with pytest.raises(MiniError, match="Containerfile:3: .*(there is no |is not one file)"):
            builder.build(f"FROM box\n\n{text}\n")


def test_no_pattern_of_names_leads_outside(builder: Any, canary: Path) -> None:
    (builder.context / "link").symlink_to(canary)
    builder.build("FROM scratch\nCOPY li*/secret l*k/* /x/\n")
    assert builder.tree() == []


def test_no_link_of_an_image_leads_outside(builder: Any, canary: Path) -> None:
    """They lead where they lead for a container; what is missing there is made."""
    builder.write(f="f", d__sub__g="g")
    links = f"ln -s {canary} /abs; ln -s ../../../../../../..{canary} /up; ln -s {canary}/secret /file"
    links += "; ln -s /no/such /no2"
    copies = "COPY f /abs/in\nCOPY f /up/\nCOPY f /file\nCOPY d /abs\nWORKDIR /up/made\nCOPY f /no2/x\n"
    builder.build(f"FROM box\nRUN {links}\n{copies}")
    assert sorted(os.listdir(canary)) == ["secret"]
    assert (canary / "secret").read_text() == "secret"
    look = f"cat {canary}/in {canary}/f {canary}/secret {canary}/sub/g /no/such/x; ls {canary}"
    assert builder.host.run(["sh", "-c", look], image="made").stdout == "fffgff\nin\nmade\nsecret\nsub\n"
    with pytest.raises(BadInput, match="Containerfile:3: /loop is a link that leads nowhere"):
        builder.build("FROM box\nRUN ln -s loop /loop\nCOPY f /loop/x\n")


def test_a_stage_cannot_give_what_is_the_hosts(builder: Any, canary: Path) -> None:
    text = f"FROM box AS a\nRUN ln -s {canary} /link\nFROM scratch\nCOPY --from=a /link/secret /x\n"
    with pytest.raises(NotFound, match="Containerfile:4: there is no /link/secret"):
        builder.build(text)


def test_links_stand_in_the_way_of_directories(builder: Any) -> None:
    """A directory that is copied is not written through a link of the image."""
    builder.write(d__etc__x="x")
    with pytest.raises(BadInput, match="Containerfile:3: /t/etc is there, and is no directory"):
        builder.build("FROM box\nRUN mkdir /t && ln -s /etc /t/etc\nCOPY d /t\n")


def test_nobody_becomes_root_by_a_context(builder: Any) -> None:
    program = builder.context / "program"
    program.write_bytes(b"x")
    os.chown(program, 1000, 1000)
    program.chmod(0o6755)
    os.setxattr(program, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    builder.build("FROM scratch\nCOPY program /\n")
    assert builder.tree() == ["100755 0:0 program"]
    assert os.listxattr(builder.top() / "program") == []
    builder.build("FROM scratch\nCOPY --chmod=4711 program /\n")
    assert builder.tree() == ["104711 0:0 program"]


def test_a_context_that_changes_meanwhile(builder: Any) -> None:
    """Else a layer would be found again by a content that it does not have."""
    builder.write(f="old")

    def change(event: str, step: Any) -> None:
        if (event, step.name) == ("begin", "copy"):
            builder.write(f="new")

    with pytest.raises(Conflict, match="Containerfile:2: what it copies was changed meanwhile"):
        builder.build("FROM scratch\nCOPY f /\n", observer=change)
    builder.build()
    assert (builder.top() / "f").read_text() == "new"


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "binary", "large"])
def test_a_file_that_is_no_containerfile(builder: Any, canary: Path, kind: str) -> None:
    path = builder.context / "Containerfile"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(canary / "secret")
    else:
        path.write_bytes(b"\xff\xfe" if kind == "binary" else b"#" * (2**20 + 1))
    with pytest.raises(MiniError, match=r"no Containerfile|not a regular file|not text in UTF-8|larger than 1 MiB"):
        builder.build()


def test_the_context_itself_may_be_a_link(builder: Any, tmp_path: Path) -> None:
    builder.write(f="f", Containerfile="FROM scratch\nCOPY f /\n")
    (tmp_path / "link").symlink_to(builder.context)
    builder.context = tmp_path / "link"
    assert builder.actions() == ["copy", "name"]


def test_a_large_file_takes_no_memory(builder: Any) -> None:
    with open(builder.context / "large", "wb") as handle:
        handle.truncate(2**28)
    builder.write(Containerfile="FROM scratch\nCOPY large /\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    builder.build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert (builder.top() / "large").stat().st_size == 2**28


def test_a_command_is_confined_as_any_container(builder: Any) -> None:
    look = "grep -e CapEff -e Seccomp: -e NoNewPrivs /proc/self/status"
    builder.build(f"FROM box\nRUN {look} > /status\n")
    status = builder.host.run(look, image="box").stdout
    assert (builder.top() / "status").read_text() == status
    assert "Seccomp:\t2" in status
