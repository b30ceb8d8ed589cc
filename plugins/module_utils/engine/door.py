# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's side of the door of a container's monitor (runtime/door.py)."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Optional

PATIENCE = 1.0  # seconds; a monitor that does not answer by then is stopped, or the host is


def knock(path: str, given: Sequence[int]) -> Optional[socket.socket]:
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


def ask(connection: socket.socket, request: bytes) -> None:
    """Say what is to be done. If the other end is gone, there is no answer, and that will be seen."""
    with contextlib.suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)


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
