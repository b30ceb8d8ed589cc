# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry's client asks of HTTP: one request, one reply, no redirects and no retries.

Who makes the requests is the caller's choice; a task uses Ansible's own client. Nothing here knows of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

from ...core.errors import RegistryFailed

SLOW = 1024  # bytes a second
MAX_ANSWER = 64 * 2**10  # of anything that is not a document that was asked for


class Lost(Exception):
    """The connection failed, or the other side was silent for too long. Another attempt may succeed."""


class Reply(Protocol):
    """An answer whose body has not been read. Header names are in lower case."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...

    def read(self, size: int) -> bytes:
        """What has come, at most `size` bytes; `b""` at the end. `Lost` when that came too early."""
        ...

    def close(self) -> None: ...


class Transport(Protocol):
    """One request. `upload` is the path of the file that is its body."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], upload: str = "") -> Reply: ...


class Pace:
    """Who sends less than a trickle, and goes on, is as good as silent. `patience`: the seconds in which we say so."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since, self._received = time.monotonic(), 0

    def count(self, size: int) -> None:
        """So much has come."""
        self._received += size
        now = time.monotonic()
        if now - self._since > self._patience:
            if self._received < SLOW * self._patience:
                raise Lost(f"it sends less than {SLOW} bytes a second")
            self._since, self._received = now, 0


def read_all(reply: Reply, limit: int, what: str, patience: float = 60.0) -> bytes:
    """The body, if it is no larger than `limit`."""
    found, pace = bytearray(), Pace(patience)
    while True:
        data = reply.read(min(limit + 1 - len(found), 2**16))
        if not data:
            return bytes(found)
        pace.count(len(data))
        found += data
        if len(found) > limit:
            raise RegistryFailed(f"{what} is larger than {limit >> 10} KiB")
