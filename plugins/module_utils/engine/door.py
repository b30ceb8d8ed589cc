# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's side of the door of a container's monitor (runtime/door.py)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Optional

from .answers import Answer, Meanwhile, nothing, talk

PATIENCE = 1.0  # seconds; a monitor that does not answer by then is stopped, or the host is


class Visit:
    """Somebody who is ready for a request, behind a connection, and our ends of what the answer comes through."""

    def __init__(self, connection: socket.socket, outputs: Sequence[int]) -> None:
        self._connection = connection
        self._outputs = outputs

    def ask(self, request: dict[str, Any], meanwhile: Meanwhile = nothing) -> Answer:
        """Have it done, with something to do `meanwhile`. If the other end is gone there is no answer: that is seen."""

        def ask() -> None:
            with contextlib.suppress(OSError):
                self._connection.sendall(json.dumps(request).encode())
                self._connection.shutdown(socket.SHUT_WR)
            meanwhile()

        try:
            return talk(request["verb"], ask, self._connection.close, *self._outputs)
        finally:
            self.close()

    def close(self) -> None:
        """Without a request nothing is done."""
        self._connection.close()
        for fd in self._outputs:
            os.close(fd)


def knock(path: str, hold: Sequence[int]) -> Optional[Visit]:
    """Have a child of the monitor whose door is at `path` wait for a request, for which it holds the descriptors."""
    with contextlib.ExitStack() as theirs:
        pipes = [os.pipe() for _what in ("answer", "standard output", "standard error")]
        for _read_end, write_end in pipes:
            theirs.callback(os.close, write_end)
        answer, output, errors = (write_end for _read_end, write_end in pipes)
        connection = _enter(path, [output, errors, answer, *hold])
    outputs = [read_end for read_end, _write_end in pipes]
    if connection is None:
        for fd in outputs:
            os.close(fd)
        return None
    return Visit(connection, outputs)


def _enter(path: str, given: Sequence[int]) -> Optional[socket.socket]:
    """A connection whose other end is ready for a request, and has the descriptors `given`; None when nobody answers.

    Nobody does where the monitor is dead, stopped, of another version, or in another mount namespace than we are.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        with contextlib.suppress(OSError):
            connection.settimeout(PATIENCE)
            connect(connection, path)
            introduce(connection, given)
            if connection.recv(1):
                connection.settimeout(None)
                undo.pop_all()
                return connection
    return None


def connect(connection: socket.socket, path: str) -> None:
    """By a descriptor: the path of a socket may be no longer than 108 bytes."""
    place = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        connection.connect(f"/proc/self/fd/{place}/{os.path.basename(path)}")
    finally:
        os.close(place)


def introduce(connection: socket.socket, given: Sequence[int]) -> None:
    """Show that we are where the host is, and hand over what is given."""
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        socket.send_fds(connection, [b"\0"], [mounts, *given])
    finally:
        os.close(mounts)
