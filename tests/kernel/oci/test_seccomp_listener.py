# SPDX-License-Identifier: GPL-3.0-or-later
"""`SCMP_ACT_NOTIFY`: calls that a listener outside decides about."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mini.containers.plugins.module_utils.linux.seccomp_filter import architectures

from ..waiting import PATIENCE, eventually

# <linux/seccomp.h>: the requests, struct seccomp_notif and seccomp_notif_resp.
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
ASKED, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
BOTH = pytest.mark.parametrize("no_new_privs", [False, True])


class Listener:
    """Answers by an errno to the calls it is told of, lets all others pass, and keeps what the runtime has said."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.refused: dict[str, int] = {}
        self.states: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self._names = {number: name for name, number in architectures(os.uname().machine)[0].numbers.items()}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._stop, self._stopper = os.pipe()
        self._open: dict[int, bool] = {}
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._stop, select.POLLHUP)
        while True:
            for fd, events in poller.poll():
                if fd == self._stop:
                    return
                if fd == self._socket.fileno():
                    poller.register(self._accept(), select.POLLIN)
                elif events & select.POLLIN:
                    with contextlib.suppress(FileNotFoundError):  # a signal has interrupted the call, which comes again
                        self._answer(fd)
                else:  # nobody is under the filter any more
                    poller.unregister(fd)
                    os.close(fd)
                    del self._open[fd]

    def _accept(self) -> int:
        connection, _address = self._socket.accept()
        with connection:
            data, fds, _flags, _from = socket.recv_fds(connection, 65536, 4)
            while more := connection.recv(65536):
                data += more
        self.states.append(json.loads(data))
        (fd,) = fds
        self._open[fd] = True
        return fd

    def _answer(self, fd: int) -> None:
        buffer = array.array("B", bytes(ASKED.size))
        fcntl.ioctl(fd, RECEIVE, buffer)
        number, _pid, _flags, call, *_rest = ASKED.unpack(buffer)
        name = self._names[call]
        self.seen.append(name)
        refused = self.refused.get(name, 0)
        fcntl.ioctl(fd, SEND, ANSWER.pack(number, 0, -refused, 0 if refused else CONTINUE))

    def close(self) -> None:
        os.close(self._stopper)
        self._thread.join(PATIENCE)
        for fd in (self._stop, *self._open):
            os.close(fd)
        self._socket.close()
        self.path.unlink()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "agent.sock")
    yield found
    found.close()


def ask(bundle: Any, path: Any, *names: str, no_new_privs: bool = False, **more: Any) -> None:
    """Have the listener asked for those calls."""
    bundle.process["noNewPrivileges"] = no_new_privs
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "listenerPath": str(path),
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_NOTIFY"}],
        **more,
    }


@BOTH
def test_a_listener_decides(bundle: Any, listener: Listener, no_new_privs: bool) -> None:
    ask(bundle, listener.path, "mkdir", "mkdirat", no_new_privs=no_new_privs, listenerMetadata="what it is told")
    listener.refused = {"mkdir": errno.ENOMEDIUM, "mkdirat": errno.ENOMEDIUM}
    bundle.config["annotations"] = {"a": "b"}
    bundle.sh("mkdir /x 2>&1; while [ -e /wait ]; do sleep 0.05; done")
    (bundle.rootfs / "wait").touch()
    bundle.ok("create", "c1")
    pid = bundle.state()["pid"]
    assert listener.states == [
        {
            "ociVersion": "1.2.0",
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": "what it is told",
            "state": {**bundle.state(), "status": "creating"},
        }
    ]
    bundle.ok("start", "c1")
    (bundle.rootfs / "wait").unlink()
    bundle.ok("delete", "--force", "c1")
    assert "No medium found" in bundle.run("mkdir /x 2>&1; exit 0")
    assert set(listener.seen) <= {"mkdir", "mkdirat"}


@BOTH
def test_calls_that_the_runtime_itself_needs(bundle: Any, listener: Listener, no_new_privs: bool) -> None:
    """Whoever answers lets it pass; the runtime must have given the descriptor away before it makes them."""
    names = ("execve", "openat", "open", "read", "close", "fcntl", "sendmsg", "chdir", "capset", "prctl", "ioctl")
    ask(bundle, listener.path, *names, no_new_privs=no_new_privs, flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])
    bundle.config["hooks"] = {
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "[ $(ls /proc/self/fd | wc -l) = 4 ]"]}]
    }
    assert bundle.run("echo $(ls /proc/self/fd)") == "0 1 2 3\n"
    assert {"execve", "read", "close"} <= set(listener.seen)


@BOTH
@pytest.mark.parametrize("capability", ["CAP_KILL", "CAP_SYS_PTRACE"])
def test_exec(bundle: Any, listener: Listener, no_new_privs: bool, capability: str) -> None:
    """Each process has a filter of its own, and the listener a descriptor for each."""
    names = ("mkdir", "mkdirat", "execve", "read", "close", "clone", "setresuid", "exit_group", "sendmsg")
    ask(bundle, listener.path, *names, no_new_privs=no_new_privs, listenerMetadata="m")
    bundle.process["capabilities"]["bounding"] = [*bundle.process["capabilities"]["bounding"], capability]
    bundle.sh("while :; do sleep 1; done")
    bundle.ok("run", "--detach", "c1")
    listener.refused = {"mkdir": errno.ENOMEDIUM, "mkdirat": errno.ENOMEDIUM}
    listener.seen.clear()
    done = bundle.call("exec", "c1", "sh", "-c", "ls /proc/self/fd; mkdir /x 2>&1; exit 3")
    assert (done.returncode, done.stdout.split()[:4]) == (3, ["0", "1", "2", "3"]), done.stderr
    assert "No medium found" in done.stdout
    assert {"execve", "read"} <= set(listener.seen)
    first, second = listener.states
    assert second["state"] == bundle.state()
    assert (second["metadata"], second["state"]["status"]) == ("m", "running")
    assert second["pid"] not in (first["pid"], 0)


def test_exec_without_a_listener(bundle: Any, tmp_path: Path) -> None:
    """The process does not come, and the container stays."""
    gone = Listener(tmp_path / "gone.sock")
    ask(bundle, gone.path, "mkdir")
    bundle.sh("while :; do sleep 1; done")
    bundle.ok("run", "--detach", "c1")
    gone.close()
    assert "failed to connect with seccomp agent" in bundle.refused("exec", "c1", "true")
    assert len(bundle.ok("ps", "--format", "json", "c1").split(",")) <= 2
    assert bundle.state()["status"] == "running"


def test_a_listener_that_is_gone(bundle: Any, tmp_path: Path) -> None:
    """The call is answered by the kernel then: nobody holds the descriptor but the listener."""
    gone = Listener(tmp_path / "gone.sock")
    ask(bundle, gone.path, "mkdir", "mkdirat")
    bundle.sh("mkdir /x 2>/said")
    bundle.ok("create", "c1")
    gone.close()
    bundle.ok("start", "c1")
    eventually(lambda: bundle.state()["status"] == "stopped")
    assert "Function not implemented" in (bundle.rootfs / "said").read_text()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"listenerPath": "/nosuch/agent.sock"},
            "failed to connect with seccomp agent: /nosuch/agent.sock: No such file",
        ),
        ({"listenerPath": "/" + 200 * "x"}, "AF_UNIX path too long"),
        ({"listenerPath": ""}, "needs a listener"),
        ({"listenerPath": "agent.sock"}, "is not an absolute path"),
        ({"listenerPath": "", "listenerMetadata": "x", "syscalls": []}, "listenerMetadata is for a listener"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY cannot be used as default action"),
        (
            {"syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_NOTIFY"}]},
            "SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
    ],
)
def test_what_cannot_work_is_refused(bundle: Any, change: dict[str, Any], why: str) -> None:
    ask(bundle, "/nosuch/agent.sock", "mkdir", **change)
    assert why in bundle.refused("create", "c1")


def test_without_the_action_no_listener_is_looked_for(bundle: Any) -> None:
    flags = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"]
    ask(bundle, "/nosuch/agent.sock", "mkdir", syscalls=[], listenerMetadata="x", flags=flags)
    assert bundle.run("echo here") == "here\n"


def test_it_is_advertised(bundle: Any) -> None:
    found = json.loads(bundle.ok("features"))["linux"]["seccomp"]
    assert "SCMP_ACT_NOTIFY" in found["actions"]
    assert found["supportedFlags"] == found["knownFlags"]
