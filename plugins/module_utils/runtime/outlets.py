# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's first process is connected to: pipes to the log, or a terminal that is read into it."""

from __future__ import annotations

import os

from . import console, init
from .bundle import ANNOTATION_STDIN, STDIN_OPEN, Bundle
from .streams import Streams, open_pipe


class Outlets:
    """Made before the fork, for one life of the container."""

    def __init__(self, bundle: Bundle, child: init.Child) -> None:
        self._ours: dict[int, str] = {}
        self._theirs: list[int] = []
        self._socket = -1
        if bundle.process.get("terminal"):
            self._socket, child.console_fd = console.pair()
            self._theirs = [child.console_fd]
            return
        source = -1
        if bundle.text(ANNOTATION_STDIN) == STDIN_OPEN:
            # Whoever reads from it writes to it, too, as far as the kernel knows: its end never comes.
            unused, source = open_pipe()
            os.close(unused)
        (out_read, out_write), (err_read, err_write) = open_pipe(), open_pipe()
        self._ours = {out_read: "stdout", err_read: "stderr"}
        self._theirs = [fd for fd in (source, out_write, err_write) if fd >= 0]
        child.stdio = (source, out_write, err_write)

    def forked(self) -> None:
        """The child has its ends."""
        for fd in self._theirs:
            os.close(fd)

    def read_into(self, streams: Streams) -> None:
        """The child is ready: its terminal's master has been sent by now. All that is shown there is one stream."""
        if self._socket >= 0:
            self._ours = {console.receive(self._socket): "stdout"}
        for fd, name in self._ours.items():
            streams.add(fd, name)
        self._ours = {}
        self.close()

    def close(self) -> None:
        """Let go of what nobody reads."""
        for fd in (*self._ours, self._socket):
            if fd >= 0:
                os.close(fd)
        self._ours, self._socket = {}, -1
