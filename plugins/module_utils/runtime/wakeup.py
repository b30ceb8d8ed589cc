# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGHUP as a descriptor that becomes readable, so that one poll(2) waits for everything."""

from __future__ import annotations

import contextlib
import os
import signal


class Wakeup:
    """From its making on, SIGHUP does nothing but make `fd` readable, until `clear`."""

    def __init__(self) -> None:
        self.fd, write_end = os.pipe()
        for fd in (self.fd, write_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        # An ignored signal wakes nobody, and the default would end the process.
        signal.signal(signal.SIGHUP, lambda *_arguments: None)

    def clear(self) -> None:
        """Heard."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass
