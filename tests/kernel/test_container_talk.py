# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to a process and what it says: standard input, terminals, and nobody there at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.engine.containers.execute import Talk

from .waiting import eventually, stays


def test_standard_input(host: Any) -> None:
    """More than a pipe holds, both ways."""
    host.container()
    assert host.exec("c", "cat").stdout == b"", "without any there is nothing to read"
    data = os.urandom(1 << 20)
    assert host.exec("c", "cat", talk=Talk(stdin=data)).stdout == data
    assert host.exec("c", "true", talk=Talk(stdin=data)).rc == 0, "it need not be read"
    host.absent("c")


def test_a_terminal(host: Any) -> None:
    host.container()
    done = host.exec("c", "sh", "-c", "readlink /proc/self/fd/0; echo oops >&2; exit 3", talk=Talk(tty=True))
    assert (done.rc, done.stdout, done.stderr) == (3, b"/dev/pts/0\r\noops\r\n", b"")
    done = host.exec("c", "sh", "-c", "read line; echo got $line", talk=Talk(stdin=b"typed\n", tty=True))
    assert done.stdout == b"typed\r\ngot typed\r\n", "a terminal shows what is typed"
    host.absent("c")


def test_a_terminal_of_a_user(host: Any) -> None:
    host.container(user="alice")
    done = host.exec("c", "sh", "-c", "stat -c %u:%g $(readlink /proc/self/fd/0); ls /dev/pts", talk=Talk(tty=True))
    assert done.stdout == b"1000:5\r\n0     ptmx\r\n"
    host.absent("c")


def test_a_terminal_takes_more_than_it_holds(host: Any) -> None:
    """Nobody waits for the other for ever: lines go in while what they show comes out."""
    host.container()
    lines = b"".join(b"line %d\n" % number for number in range(10000))
    done = host.exec(
        "c", "sh", "-c", "cat > /tmp/all; cat /tmp/all; wc -l < /tmp/all", talk=Talk(stdin=lines, tty=True)
    )
    assert done.rc == 0
    assert done.stdout.endswith(b"line 9999\r\n10000\r\n")
    host.absent("c")


def test_terminals_leave_nothing(host: Any) -> None:
    host.container()
    for _round in range(20):
        assert host.exec("c", "true", talk=Talk(tty=True)).rc == 0
    eventually(lambda: host.exec("c", "ls", "/dev/pts").stdout == b"ptmx\n")
    host.absent("c")


def test_a_command_that_nobody_waits_for(host: Any) -> None:
    host.container()
    script = "readlink /proc/self/fd/1; echo still > /tmp/there; exec sleep 1000"
    done = host.exec("c", "sh", "-c", script, talk=Talk(tty=True, detach=True))
    assert (done.rc, done.stdout, done.stderr) == (0, b"", b"")
    eventually(lambda: host.exec("c", "cat", "/tmp/there").stdout == b"still\n")
    eventually(lambda: host.exec("c", "sh", "-c", "ps | grep -c '[s]leep 1000'").stdout == b"2\n")
    host.absent("c")


@pytest.mark.parametrize("detach", [True, False])
def test_a_command_that_is_not_there(host: Any, detach: bool) -> None:
    host.container()
    with pytest.raises(Exception, match="the command 'nosuch' is not in the container"):
        host.exec("c", "nosuch", talk=Talk(detach=detach))
    host.absent("c")


def test_a_container_with_a_terminal(host: Any) -> None:
    script = "readlink /proc/self/fd/0; test -t 1 && echo yes; echo oops >&2; echo $TERM; ls -l /dev/console"
    done = host.run(["sh", "-c", script], tty=True)
    lines = done.stdout.split("\r\n")
    assert lines[:4] == ["/dev/pts/0", "yes", "oops", "xterm"]
    assert lines[4].startswith("crw--w----")
    assert done.stderr == ""


def test_a_terminal_of_a_container_stays_with_it(host: Any) -> None:
    script = "trap 'echo down; exit 4' TERM; echo up; while :; do sleep 0.1; done"
    host.container(tty=True, command=["sh", "-c", script])
    assert not host.container(tty=True).plan.steps
    eventually(lambda: "stdout F up\r" in _log(host))
    assert host.exec("c", "sh", "-c", "echo from $(readlink /proc/self/fd/0) > /dev/console").rc == 0
    host.container(state="stopped", stop_timeout=60)
    assert host.state()["exit_code"] == 4
    said = _log(host)
    assert "stdout F up\r" in said
    assert "stdout F from /dev/null\r" in said
    assert "stdout F down\r" in said
    host.absent("c")


def test_a_terminal_is_a_reason_for_a_new_container(host: Any) -> None:
    host.container()
    steps = host.container(tty=True, interactive=True).plan.steps
    assert any("tty" in step.reason and "interactive" in step.reason for step in steps)
    assert not host.container(tty=True, interactive=True).plan.steps
    assert host.exec("c", "readlink", "/proc/1/fd/0").stdout == b"/dev/pts/0\n"
    host.absent("c")


def test_a_container_that_nobody_talks_to(host: Any) -> None:
    """Without `interactive` there is nothing to read; with it there may be, for ever."""
    assert host.run("cat").rc == 0
    host.container(command=["sh", "-c", "cat; echo over"], interactive=True)
    stays(lambda: host.state()["status"] == "running", 0.5)
    assert host.exec("c", "sh", "-c", "echo now > /proc/1/fd/0").rc == 0
    host.container(state="absent", force_kill=True)


def test_a_container_with_a_terminal_starts_again(host: Any) -> None:
    script = "readlink /proc/self/fd/0; exit 1"
    host.container(tty=True, command=["sh", "-c", script], restart_policy="on-failure", restart_retries=2)
    host.ended()
    assert _log(host).count("/dev/pts/0") == 3
    host.absent("c")


def _log(host: Any) -> str:
    return Path(host.paths.container(host.record().id, "log")).read_bytes().decode()
