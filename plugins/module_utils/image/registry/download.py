# SPDX-License-Identifier: GPL-3.0-or-later
"""One blob, from a registry into a file: verified, and gone on with where a broken connection or task left off."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from typing import BinaryIO

from ...core.errors import BadImage, RegistryFailed
from ..manifest import Descriptor
from .session import Session, backoff
from .transport import Lost, Pace, Reply

_PIECE = 2**18
_PROGRESS = 2**20  # so much further, and failures are counted anew
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
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
        """Fill the file, and go on with what is in it. It may be used when this returns, and not before."""
        with open(os.open(path, _FLAGS, 0o600), "r+b", buffering=0) as file:
            resumed = self._take_up(file)
            self._rest(file)
            if resumed and self._found != self._blob.digest:
                self._begin_again(file)  # whoever began it may have had something else
                self._rest(file)
        if self._found != self._blob.digest:
            raise BadImage(f"{self._session.where.server} sent {self._found} for {self._blob.digest}")

    @property
    def _found(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def _take_up(self, file: BinaryIO) -> bool:
        """Whether there is a beginning of it."""
        while self._done <= self._blob.size:
            data = file.read(_PIECE)
            if not data:
                return self._done > 0
            self._hash.update(data)
            self._done += len(data)
        self._begin_again(file)
        return False

    def _rest(self, file: BinaryIO) -> None:
        """All that is missing, through as many broken connections as it takes, while each brings us further."""
        furthest, failures = self._done, 0
        while self._done < self._blob.size or not self._blob.size:
            try:
                self._go_on(file)
                return
            except Lost as exc:
                if self._done > furthest + _PROGRESS:
                    furthest, failures = self._done, 0
                failures += 1
                if failures >= self._session.attempts:
                    raise RegistryFailed(
                        f"{self._session.where.server} breaks off again and again at {self._done} of"
                        f" {self._blob.size} bytes of {self._blob.digest}: {exc}"
                    ) from exc
                self._session.pause(backoff(failures))

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
        if os.fstat(file.fileno()).st_nlink > 1:  # another task took it for whole: the bytes are that one's, too
            raise BadImage(f"{self._blob.digest} was damaged on this host's disk", hint="run the task again")
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
