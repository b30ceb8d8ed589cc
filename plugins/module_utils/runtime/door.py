# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitor's door: who knocks has a child of the monitor do what a launcher would do.

A launcher takes 20 ms before it begins, nearly all of them to start an interpreter and to load code. The monitor has
both: sealed, not dumpable, outside of the container. A fork of it is as good as a launcher, and there at once; and the
monitors that such a child leaves behind share the memory of this one.

The door is a socket in a directory of root's that nobody else may enter. As somebody may have given a container the
whole of the host's file system to look at, which is enough to connect, who knocks has to be root and to show what no
container can have: a descriptor of the host's mount namespace.

1. The caller connects and sends one byte, with these descriptors (SCM_RIGHTS, unix(7)): its mount namespace, what is to
   be standard output and error, one for the answer, and those that the request is to hold.
2. `READY` comes back, or the end: then nothing has been done, and the caller does without us.
3. The caller sends the request of `main.py` and shuts its side down.

A caller that goes away before it sent a request has nothing done, however late it is heard. One that goes away later
takes the child with it, and so a terminal, whose process is told by SIGHUP; a start goes on without the child.

`front` is a name for the door of one monitor on the host, at which starts are asked for. Only who was born of a
launcher takes it: children of children would stand deeper in each other's stacks, one with every start.
"""

from __future__ import annotations

import _socket
import contextlib
import fcntl
import json
import os
import select
import signal
import struct
from typing import Any, Callable, NoReturn

from ..linux import libc
from ..linux.mount import set_propagation
from ..linux.mount_options import MS_SLAVE
from . import confine, report

Serve = Callable[[dict[str, Any]], dict[str, Any]]

READY = b"\x06"
BACKLOG = 64
VISITS = 256  # at once; whoever comes then has to do without
PATIENCE = 1  # seconds, for who has come to say who it is: a caller waits no longer either
_GIVEN = 4  # descriptors, and up to as many as the kernel lets through of those to hold
_MOST = 253
_CREDENTIALS = "iII"  # struct ucred: pid, uid, gid
_TIME = "ll"  # struct timeval


class Door:
    """One container's. `fds` are those to wait for, `step` is to be called with those that are ready."""

    def __init__(self) -> None:
        self._listener: _socket.socket | None = None
        self._visits: dict[int, int] = {}
        self._host: tuple[int, int] = (0, 0)
        self._path = self._front = ""

    def open(self, directory: str, name: str, mounts: int, front: str) -> None:
        """Be there for callers from the mount namespace `mounts`, as the only door in the directory."""
        self._host = _identity(mounts)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for other in os.listdir(directory):
                if other.startswith("door."):
                    os.unlink(os.path.join(directory, other))
            # The path of a socket may be no longer than 108 bytes.
            path = f"/proc/self/fd/{place}/{name}"
            listener.bind(path)
            os.chmod(path, 0o600)
            listener.listen(BACKLOG)
            self._listener = listener
        finally:
            os.close(place)
        self._path, self._front = os.path.join(directory, name), front
        if front:
            temporary = f"{front}.{os.getpid()}.tmp"
            os.symlink(self._path, temporary)
            os.replace(temporary, front)

    def close(self) -> None:
        """Be gone; whoever is inside goes on. A front that just became another's is made again."""
        with contextlib.suppress(OSError):
            if self._front and os.readlink(self._front) == self._path:
                os.unlink(self._front)
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    @property
    def fds(self) -> list[int]:
        """The door itself, unless there is no room, and the ends of those who have come in."""
        if self._listener is None or len(self._visits) >= VISITS:
            return list(self._visits)
        return [self._listener.fileno(), *self._visits]

    def step(self, ready: set[int], serve: Serve) -> None:
        """Bury the children whose visits are over, and have another one `serve` who knocks."""
        for pidfd in ready & self._visits.keys():
            os.close(pidfd)
            with contextlib.suppress(ChildProcessError):  # buried with others (orphan.py)
                os.waitpid(self._visits.pop(pidfd), 0)
        if self._listener is not None and self._listener.fileno() in ready:
            with contextlib.suppress(OSError):
                self._let_in(self._listener, serve)

    def _let_in(self, listener: _socket.socket, serve: Serve) -> None:
        caller, _address = listener._accept()  # type: ignore[attr-defined]
        try:
            pid = os.fork()
            if pid == 0:
                _answer(caller, self._host, serve)
            self._visits[libc.pidfd_open(pid)] = pid
        finally:
            os.close(caller)


def _answer(caller: int, host: tuple[int, int], serve: Serve) -> NoReturn:
    """All of the visit, with nothing left of what is the monitor's."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        (caller,) = confine.keep_only([caller])
        os.set_blocking(caller, True)
        given = _introduced(caller, host)
        if given:
            os.write(caller, READY)
            _serve(caller, given, serve)
    finally:
        os._exit(0)


def _introduced(caller: int, host: tuple[int, int]) -> list[int]:
    """What the caller gives, if it is who it must be; else nothing."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, caller)
    # Or who says nothing could have all the room there is.
    connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, struct.pack(_TIME, PATIENCE, 0))
    space = _socket.CMSG_SPACE(_MOST * struct.calcsize("i"))
    _data, extra, _flags, _address = connection.recvmsg(1, space, _socket.MSG_CMSG_CLOEXEC)
    connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVTIMEO, struct.pack(_TIME, 0, 0))
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, struct.calcsize(_CREDENTIALS))
    connection.detach()
    _pid, uid, _gid = struct.unpack(_CREDENTIALS, credentials)
    if uid != 0 or not extra:
        return []
    given = list(struct.unpack(f"{len(extra[0][2]) // struct.calcsize('i')}i", extra[0][2]))
    return given if len(given) >= _GIVEN and _identity(given[0]) == host else []


def _serve(caller: int, given: list[int], serve: Serve) -> None:
    asked = report.read_all(caller)
    if not asked:
        return
    _end_with(caller)
    mounts, output, errors, answer, *hold = given
    os.dup2(output, 1)
    os.dup2(errors, 2)
    request = {**json.loads(asked), "mounts": mounts, "answer": answer, "hold": hold}
    if request["verb"] != "exec":
        _see(mounts)
    done = serve(request)
    os.write(answer, json.dumps(done).encode() + report.END)


def _end_with(caller: int) -> None:
    """End when the caller goes away.

    SIGIO tells that something happened, and that may be the end of the request yet: the kernel wakes who reads first.
    """

    def look(*_signal: object) -> None:
        poller = select.poll()
        poller.register(caller, 0)
        if poller.poll(0):  # POLLHUP, which needs not be asked for
            os._exit(1)

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(caller, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(caller, fcntl.F_SETFL, os.O_ASYNC)
    look()


def _see(mounts: int) -> None:
    """Have the host's mounts as they are now, which may be private, in a namespace of our own. What is executed here
    stays the read-only view of the interpreter that it was (linux/seal.py)."""
    libc.setns(mounts, libc.CLONE_NEWNS)
    libc.unshare(libc.CLONE_NEWNS)
    set_propagation(MS_SLAVE)


def _identity(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
