# SPDX-License-Identifier: GPL-3.0-or-later
"""One blob, from a registry into a file: verified, and gone on with where a broken connection left off."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import BinaryIO

from ...core.errors import BadImage, RegistryFailed
from ..manifest import Descriptor
from .session import ATTEMPTS, Session, backoff
from .transport import Lost, Pace, Reply

_PIECE = 2**18
_PROGRESS = 2**20  # so much further, and failures are counted anew
_RANGE = re.compile(r"bytes (\d{1,19})-")


class Download:
    """A blob on its way."""

    def __init__(self, session: Session, blob: Descriptor, stop: threading.Event, patience: float) -> None:
        self._session = session
        self._blob = blob
        self._stop = stop
        self._patience = patience
        self._hash = hashlib.sha256()
        self._done = 0

    def into(self, path: str) -> None:
        """Make the file. What is in it may be used when this returns, and not before."""
        furthest = failures = 0
        with open(path, "xb", buffering=0) as file:
            while True:
                try:
                    self._go_on(file)
                    break
                except Lost as exc:
                    if self._done > furthest + _PROGRESS:
                        furthest, failures = self._done, 0
                    failures += 1
                    if failures >= ATTEMPTS:
                        raise RegistryFailed(
                            f"{self._session.where.server} breaks off again and again at {self._done} of"
                            f" {self._blob.size} bytes of {self._blob.digest}: {exc}"
                        ) from exc
                    self._session.pause(backoff(failures))
        found = "sha256:" + self._hash.hexdigest()
        if found != self._blob.digest:
            raise BadImage(f"{self._session.where.server} sent {found} for {self._blob.digest}")

    def _go_on(self, file: BinaryIO) -> None:
        """From where we are to the end."""
        headers = {"range": f"bytes={self._done}-"} if self._done else {}
        accept = (200, 206) if self._done else (200,)
        reply = self._session.ask("GET", f"blobs/{self._blob.digest}", headers, accept, stop=self._stop)
        try:
            if self._done and not self._continues(reply):
                self._begin_again(file)
            self._check_length(reply)
            self._copy(reply, file)
        finally:
            reply.close()
        if self._done < self._blob.size:
            raise Lost("the end is missing")

    def _continues(self, reply: Reply) -> bool:
        """Whether the answer begins where we are; one that begins elsewhere is from the beginning, or of no use."""
        if reply.status != 206:
            return False
        match = _RANGE.match(reply.headers.get("content-range", ""))
        if match is None or int(match[1]) != self._done:
            raise BadImage(f"{self._session.where.server} sends another part of {self._blob.digest} than was asked for")
        return True

    def _begin_again(self, file: BinaryIO) -> None:
        file.seek(0)
        file.truncate()
        self._hash, self._done = hashlib.sha256(), 0

    def _check_length(self, reply: Reply) -> None:
        length = reply.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._blob.size - self._done:
            self._too_long()

    def _copy(self, reply: Reply, file: BinaryIO) -> None:
        pace = Pace(self._patience)
        while True:
            data = reply.read(_PIECE)
            if not data:
                return
            self._done += len(data)
            if self._done > self._blob.size:
                self._too_long()
            self._hash.update(data)
            _write(file, data)
            if self._stop.is_set():
                raise RegistryFailed(f"{self._blob.digest} is not needed any more")
            pace.count(len(data))

    def _too_long(self) -> None:
        raise BadImage(
            f"{self._session.where.server} sends more of {self._blob.digest} than the {self._blob.size} bytes it has"
        )


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
