# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's first process is connected to: pipes to the log, or a terminal that is read into it."""

from __future__ import annotations

import os

from . import console
from .bundle import ANNOTATION_STDIN, STDIN_OPEN, Bundle
from .streams import identities, open_pipe


class Outlets:
    """Made before the fork, for one life of the container: `stdio` and `console_fd` are what it gets."""

    def __init__(self, bundle: Bundle) -> None:
        self.stdio: tuple[int, int, int] | None = None
        self.console_fd = -1
        self._ours: dict[int, str] = {}
        self._theirs: list[int] = []
        self._socket = -1
        if bundle.process.get("terminal"):
            self._socket, self.console_fd = console.pair()
            self._theirs = [self.console_fd]
            return
        source = -1
        if bundle.text(ANNOTATION_STDIN) == STDIN_OPEN:
            # Whoever reads from it writes to it, too, as far as the kernel knows: its end never comes.
            unused, source = open_pipe()
            os.close(unused)
        (out_read, out_write), (err_read, err_write) = open_pipe(), open_pipe()
        self._ours = {out_read: "stdout", err_read: "stderr"}
        self._theirs = [fd for fd in (source, out_write, err_write) if fd >= 0]
        self.stdio = (source, out_write, err_write)

    def forked(self) -> None:
        """The child has its ends."""
        for fd in self._theirs:
            os.close(fd)

    def identities(self) -> dict[str, int]:
        """By what another monitor finds our ends."""
        return identities(self._ours)

    def take(self) -> dict[int, str]:
        """Our ends, by descriptor, and what each carries: they are the caller's from now on.

        The container runs: its terminal's master has been sent. All that is shown there is one stream.
        """
        taken = {console.receive(self._socket): "stdout"} if self._socket >= 0 else self._ours
        self._ours = {}
        self.close()
        return taken

    def close(self) -> None:
        """Let go of what nobody reads."""
        for fd in (*self._ours, self._socket):
            if fd >= 0:
                os.close(fd)
        self._ours, self._socket = {}, -1
