# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: where they are, and where they are not."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.core.errors import BadInput, MiniError, NotFound
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.facts import facts
from ansible_collections.mini.containers.plugins.module_utils.linux import libc
from ansible_collections.mini.containers.plugins.module_utils.linux.mountinfo import mounts

from .waiting import eventually

WORD = "correct horse battery staple"


def given(content: str = WORD, **fields: Any) -> dict[str, Any]:
    return {"secrets": [{"source": "password", "content": content, **fields}]}


def names(outcome: Any) -> list[str]:
    return [step.name for step in outcome.plan]


def test_a_secret_is_a_file_in_memory(host: Any) -> None:
    host.container(**given(), user="alice", read_only=True)
    assert host.exec("c", "cat", "/run/secrets/password").stdout == WORD.encode()
    assert host.exec("c", "stat", "-c", "%a %u %g", "/run/secrets/password").stdout == b"444 0 0\n"
    table = {entry.target: entry for entry in mounts(f"/proc/{host.pid()}/mountinfo")}
    assert table["/run/secrets/password"].fstype == "tmpfs"
    assert "ro" in table["/run/secrets/password"].options.split(",")
    assert host.exec("c", "sh", "-c", "echo x > /run/secrets/password", user="root").rc != 0
    assert not host.container(**given(), read_only=True).plan
    host.absent("c")


def test_target_owner_and_mode(host: Any) -> None:
    fields = {"target": "/etc/app/key", "uid": 1000, "gid": 29, "mode": "0400"}
    host.container(**given(**fields), user="alice")
    assert host.exec("c", "stat", "-c", "%a %u %g", "/etc/app/key").stdout == b"400 1000 29\n"
    assert host.exec("c", "cat", "/etc/app/key").stdout == WORD.encode()
    assert not host.container(**given(**fields)).plan
    assert "set-aside" in names(host.container(**given(**{**fields, "mode": 0o440}), stop_timeout=0))
    host.absent("c")


def test_users_of_its_own(host: Any) -> None:
    host.container(userns_mode="private", user="alice", stop_timeout=0, **given(uid=1000, gid=29, mode="0400"))
    assert host.exec("c", "stat", "-c", "%a %u %g", "/run/secrets/password").stdout == b"400 1000 29\n"
    assert host.exec("c", "cat", "/run/secrets/password").stdout == WORD.encode()
    host.absent("c")


def test_it_is_nowhere_else(host: Any) -> None:
    """No file below the state root, no result, no plan, no environment, no command line."""
    outcome = host.container(**given())
    shown = json.dumps(facts(host.paths, host.record())) + "\n".join(outcome.plan.describe()) + repr(outcome)
    outcome = host.container(**given("another"), check=True)
    shown += "\n".join(outcome.plan.describe()) + repr(outcome)
    assert WORD not in shown
    assert "another" not in shown
    for directory, _below, files in os.walk(host.paths.state_root):
        for name in files:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                assert WORD.encode() not in Path(path).read_bytes(), path
    for process in (host.pid(), host.state()["monitor"]["pid"]):
        for file in ("cmdline", "environ"):
            assert WORD.encode() not in Path(f"/proc/{process}/{file}").read_bytes()
    kept = host.record()
    assert set(kept.secrets) == {"password"}
    assert len(kept.secret_key) == 64
    host.absent("c")


def test_the_same_secret_has_another_digest_in_another_container(host: Any) -> None:
    host.container("a", **given())
    host.container("b", **given())
    assert host.record("a").secrets != host.record("b").secrets
    host.absent("a", "b")


def test_root_alone_may_look_into_the_memory(host: Any) -> None:
    host.container(**given())
    directory = host.paths.secrets(host.record().id)
    assert os.path.ismount(directory)
    assert os.stat(directory).st_mode & 0o777 == 0o700
    host.absent("c")
    assert not os.path.exists(directory)


def test_new_content_restarts(host: Any) -> None:
    host.container(command=["sh", "-c", "echo x >> /count; exec sleep 1000"], stop_timeout=0, **given())
    container_id = host.record().id
    outcome = host.container(**given("new"))
    assert names(outcome)[0] == "stop"
    assert "new content in the secrets password" in "\n".join(outcome.plan.describe())
    assert host.record().id == container_id
    assert host.exec("c", "cat", "/run/secrets/password").stdout == b"new"
    assert not host.container(**given("new")).plan
    host.container(state="stopped", **given("newer"))
    host.container(**given("newest"))
    assert host.exec("c", "cat", "/run/secrets/password").stdout == b"newest"
    eventually(lambda: host.exec("c", "cat", "/count").stdout == b"x\nx\nx\n")
    host.absent("c")


def test_a_file_of_the_host(host: Any, tmp_path: Path) -> None:
    path = tmp_path / "key"
    options = {"secrets": [{"name": "key", "source": "key", "src": str(path)}]}
    with pytest.raises(NotFound, match="the file .*key of a secret does not exist"):
        host.container(**options)
    path.write_bytes(b"\0\xffbinary")
    host.container(stop_timeout=0, **options)
    assert host.exec("c", "cat", "/run/secrets/key").stdout == b"\0\xffbinary"
    path.write_bytes(b"rotated")
    assert not host.container().plan
    assert names(host.container(**options))[0] == "stop"
    assert host.exec("c", "cat", "/run/secrets/key").stdout == b"rotated"
    path.write_bytes(bytes(600_000))
    with pytest.raises(BadInput, match="key is larger than 512000 bytes"):
        host.container(**options)
    assert not host.container().plan
    host.absent("c")


def _forget(host: Any) -> None:
    """What a reboot does to /run."""
    libc.umount2(host.paths.secrets(host.record().id), 0)


def test_after_a_reboot(host: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file")
    both = {"secrets": [{"source": "file", "src": f"{tmp_path}/key"}, *given()["secrets"]]}
    host.container(stop_timeout=0, **both)
    host.container(state="stopped")
    host.container()
    host.container(state="stopped")
    _forget(host)
    with pytest.raises(NotFound, match="secret password of c is not in memory any more.*run the task that gives"):
        host.container()
    assert host.pid() == 0
    host.container(**both)
    assert host.exec("c", "cat", "/run/secrets/file", "/run/secrets/password").stdout == f"from a file{WORD}".encode()
    host.container(state="stopped")
    _forget(host)
    one = {"secrets": [{"source": "file", "src": f"{tmp_path}/key"}]}
    host.container(**one)
    host.container(state="stopped")
    _forget(host)
    host.container()
    assert host.exec("c", "cat", "/run/secrets/file").stdout == b"from a file"
    host.absent("c")


def test_memory_that_is_gone_under_a_running_container_is_mended(host: Any) -> None:
    host.container(stop_timeout=0, **given())
    libc.umount2(host.paths.secrets(host.record().id), 2)
    assert not host.container().plan
    assert names(host.container(**given())) == ["write-secrets"]
    assert not host.container(**given()).plan
    host.absent("c")


def test_the_monitor_starts_it_again_with_its_secret(host: Any) -> None:
    host.container(
        command=["sh", "-c", "cat /run/secrets/password >> /seen; sleep 1000"], restart_policy="always", **given()
    )
    first = host.pid()
    eventually(lambda: host.exec("c", "cat", "/seen").stdout == WORD.encode())
    os.kill(first, signal.SIGKILL)
    eventually(lambda: host.pid() not in (0, first))
    eventually(lambda: host.exec("c", "cat", "/seen").stdout == 2 * WORD.encode())
    host.container(state="absent", force_kill=True)


def test_a_replacement_that_fails_gives_the_old_secret_back(host: Any) -> None:
    host.container(stop_timeout=0, **given())
    before = host.record().id
    with pytest.raises(MiniError, match="is not in the container"):
        host.container(command="/nothing", **given("new"))
    assert host.record().id == before
    assert host.exec("c", "cat", "/run/secrets/password").stdout == WORD.encode()
    assert not host.container(**given()).plan
    host.absent("c")


@pytest.mark.parametrize("step", ["write-secrets", "write-bundle", "start"])
def test_a_restart_that_fails_gives_the_old_content_back(host: Any, step: str) -> None:
    def observer(event: str, done: Any) -> None:
        if (event, done.name) == ("done", step):
            raise OSError(errno.ENOSPC, "no space")

    host.container(stop_timeout=0, **given())
    with pytest.raises(MiniError, match="no space"):
        host.container(observer=observer, **given("new"))
    assert host.exec("c", "cat", "/run/secrets/password").stdout == WORD.encode()
    assert not host.container(**given()).plan
    host.container(**given("new"))
    assert host.exec("c", "cat", "/run/secrets/password").stdout == b"new"
    host.absent("c")


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ({"source": "x"}, "x needs either content or src"),
        ({"source": "x", "content": "", "src": "/x"}, "x needs either content or src"),
        ({"source": "../x", "content": ""}, "is not a secret name"),
        ({"source": "x", "src": "relative"}, "not an absolute path"),
        ({"source": "x", "content": "", "target": "../../etc/passwd"}, "no place for a file"),
        ({"source": "x", "content": "", "target": "/"}, "no place for a file"),
        ({"source": "x", "content": "", "mode": "rw"}, "is not a mode"),
        ({"source": "x", "content": "", "uid": -1}, "the owner of x cannot be -1"),
        ({"source": "password", "content": ""}, "password is named twice"),
        ({"source": "x", "content": "", "target": "password"}, "/run/secrets/password is named twice"),
        ({"source": "x", "content": "", "target": "/data"}, "/data is the target of a mount"),
        ({"source": "x", "content": "s" * 600_000}, "x is larger than 512000 bytes"),
    ],
)
def test_secrets_that_make_no_sense(host: Any, secret: dict[str, Any], text: str) -> None:
    with pytest.raises(BadInput, match=text) as caught:
        host.container(volumes=["v:/data"], secrets=[*given()["secrets"], secret])
    assert "sss" not in str(caught.value)
    assert WORD not in str(caught.value)
    assert not os.path.exists(host.paths.volumes) or host.left() == []


def test_a_replacement_for_another_reason_has_the_secrets_that_it_had(host: Any, tmp_path: Path) -> None:
    """A task that leaves an option out keeps it, and what is in memory alone is handed on there."""
    (tmp_path / "file").write_text("from a file")
    secrets = [{"source": "word", "content": "from the task"}, {"source": "key", "src": f"{tmp_path}/file"}]
    host.container(secrets=secrets)
    (tmp_path / "file").write_text("a new one")
    host.container(env={"A": "1"})
    assert host.exec("c", "cat", "/run/secrets/word").stdout == b"from the task"
    assert host.exec("c", "cat", "/run/secrets/key").stdout == b"a new one"
    assert not host.container(secrets=secrets).plan
    host.absent("c")
