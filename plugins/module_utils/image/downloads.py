# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs on their way, each in a file under its digest, `download/<digits>`.

A task that breaks off leaves what it has, and the next one goes on with it. One task at a time fetches a blob; another
that needs it, too, waits, and finds it whole. Nothing here is verified: whoever uses it compares its digest first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterable, Iterator

from ..core.errors import BadImage, Busy, MiniError, RegistryFailed
from ..core.paths import Paths
from ..linux.files import make_private_dir

WORTH = 2**16  # bytes; less is sooner fetched than kept
AGE = 24 * 3600.0  # seconds; what nobody has gone on with for so long is swept
PATIENCE = 600.0  # seconds without a byte more, until we do not wait for another task any longer
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Downloads:
    """The files of one state root."""

    def __init__(self, paths: Paths) -> None:
        self._directory = paths.downloads

    @contextlib.contextmanager
    def claim(self, digest: str, stop: threading.Event) -> Iterator[str]:
        """The blob's file, ours alone, with what there is of it. It stays until `forget`, unless it is of no use.

        Once `stop` is set, nobody waits any more.
        """
        make_private_dir(self._directory)
        path = self._path(digest)
        fd = _own(path, stop)
        try:
            yield path
        except (MiniError, OSError) as exc:
            # What is wrong is not gone on with, and a disk that is full needs the room.
            if isinstance(exc, (BadImage, OSError)) or os.fstat(fd).st_size < WORTH:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            raise
        finally:
            os.close(fd)

    def size(self, digest: str) -> int:
        """How many bytes of a blob are here."""
        try:
            return os.lstat(self._path(digest)).st_size
        except FileNotFoundError:
            return 0

    def forget(self, digests: Iterable[str]) -> None:
        """They are in the store by now, or of no use. What another task holds is that task's to forget."""
        for digest in digests:
            _remove(self._path(digest))

    def abandoned(self, age: float = AGE) -> list[str]:
        """The digests of what nobody has gone on with for so many seconds."""
        now, found = time.time(), []
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._directory)):
                with contextlib.suppress(FileNotFoundError):
                    path = os.path.join(self._directory, name)
                    if now - os.lstat(path).st_mtime >= age and not _held(path):
                        found.append(f"sha256:{name}")
        return found

    def _path(self, digest: str) -> str:
        return os.path.join(self._directory, digest.rpartition(":")[2])


def _own(path: str, stop: threading.Event) -> int:
    """A locked descriptor of the file that has the name now: whoever held it may have removed it meanwhile."""
    while True:
        fd = os.open(path, _FLAGS, 0o600)
        try:
            _wait(fd, path, stop)
            if _is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _wait(fd: int, path: str, stop: threading.Event) -> None:
    """For whoever fetches it, as long as he comes further."""
    since, size = time.monotonic(), -1
    while not _lock(fd):
        found, now = os.fstat(fd).st_size, time.monotonic()
        if found != size:
            since, size = now, found
        if now - since > PATIENCE:
            raise Busy(f"another task fetches {os.path.basename(path)}, and comes no further", hint="end that task")
        if stop.wait(0.05):
            raise RegistryFailed(f"{os.path.basename(path)} is not waited for any more")


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _held(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return not _lock(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if _lock(fd) and _is_at(fd, path):
                os.unlink(path)
        finally:
            os.close(fd)
