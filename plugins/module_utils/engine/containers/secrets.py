# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets: files in the container's memory, and of their content nothing anywhere else.

The bytes live on a tmpfs of the container's own below the run directory, which root alone may enter, and each is bind
mounted to its place. So they are there for every life that the monitor gives the container. At a reboot they are gone:
one that came from a file of the host is read again, one that came with the task needs the task.

The record keeps a keyed digest of each, to see that a content is a new one.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Optional

from ...core.errors import BadInput, NotFound
from ...core.paths import Paths
from ...core.specs.container import Secret
from ...linux import libc
from ...linux.files import make_private_dir, write_atomic
from ...linux.mount_options import MNT_DETACH, MS_NODEV, MS_NOEXEC, MS_NOSUID
from .record import ContainerRecord

MAX_SIZE = 500 * 1024  # as in Docker
_TMPFS = "mode=0700,size=64m"


def changed(record: ContainerRecord, contents: Mapping[str, bytes]) -> tuple[str, ...]:
    """The secrets whose content is not the one that was written."""
    found = []
    for secret in record.spec.secrets:
        content = _content(secret, contents)
        known = record.secrets.get(secret.name, "")
        if content is not None and not hmac.compare_digest(known, _digest(record.secret_key, content)):
            found.append(secret.name)
    return tuple(found)


def lost(paths: Paths, record: ContainerRecord, contents: Mapping[str, bytes]) -> tuple[str, ...]:
    """The secrets that are not in memory any more, and can be put there again."""
    directory = paths.secrets(record.id)
    gone = [one for one in record.spec.secrets if not os.path.exists(os.path.join(directory, one.name))]
    return tuple(secret.name for secret in gone if _content(secret, contents) is not None)


def in_memory(paths: Paths, record: ContainerRecord) -> dict[str, bytes]:
    """The contents as they are, if all are there."""
    found = {}
    for secret in record.spec.secrets:
        try:
            with open(os.path.join(paths.secrets(record.id), secret.name), "rb") as handle:
                found[secret.name] = handle.read()
        except FileNotFoundError:
            return {}
    return found


def kept(paths: Paths, record: ContainerRecord, old: Optional[ContainerRecord]) -> dict[str, bytes]:
    """The contents that a container has from the one that it replaces; what is in a file of the host is read again."""
    without_file = {secret.name for secret in record.spec.secrets if not secret.src}
    found = in_memory(paths, old) if old else {}
    return {name: content for name, content in found.items() if name in without_file}


def write(paths: Paths, record: ContainerRecord, contents: Optional[Mapping[str, bytes]]) -> ContainerRecord:
    """Put every secret of the container in its place; the record with their digests.

    Without `contents`, those that are in memory stay as they are.
    """
    directory = _memory(paths, record.id)
    record = replace(record, secret_key=record.secret_key or os.urandom(32).hex())
    digests = dict(record.secrets)
    for secret in record.spec.secrets:
        path = os.path.join(directory, secret.name)
        there = os.path.exists(path)
        content = None if there and contents is None else _content(secret, contents or {})
        if content is None and not there:
            raise NotFound(
                f"the secret {secret.name} of {record.name} is not in memory any more: the host was started anew",
                hint="run the task that gives its content",
            )
        if content is not None:
            _write(path, secret, record.userns, content)
            digests[secret.name] = _digest(record.secret_key, content)
    return replace(record, secrets=digests)


def forget(paths: Paths, container_id: str) -> None:
    """The memory that the container's secrets were in.

    The files go before the mount does: a monitor of another container has a copy of the mount, perhaps.
    """
    directory = paths.secrets(container_id)
    if os.path.ismount(directory):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
    while os.path.ismount(directory):
        libc.umount2(directory, MNT_DETACH)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(directory)


def _digest(key: str, content: bytes) -> str:
    return hmac.new(key.encode(), content, "sha256").hexdigest()


def _content(secret: Secret, contents: Mapping[str, bytes]) -> Optional[bytes]:
    """From the task, or from the file of the host; None when neither has it."""
    content = contents.get(secret.name)
    if content is None and secret.src:
        with contextlib.suppress(FileNotFoundError), open(secret.src, "rb") as handle:
            content = handle.read(MAX_SIZE + 1)
    if content is not None and len(content) > MAX_SIZE:
        raise BadInput(f"secrets: {secret.name} is larger than {MAX_SIZE} bytes", hint="mount it as a volume")
    return content


def _memory(paths: Paths, container_id: str) -> str:
    """A tmpfs that is never swapped out, where the kernel can (6.4)."""
    directory = paths.secrets(container_id)
    make_private_dir(directory)
    if not os.path.ismount(directory):
        flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
        try:
            libc.mount("tmpfs", directory, "tmpfs", flags, f"{_TMPFS},noswap")
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                raise
            libc.mount("tmpfs", directory, "tmpfs", flags, _TMPFS)
    return directory


def _write(path: str, secret: Secret, first: int, content: bytes) -> None:
    """`first` is the id of the container's root on the host: before Linux 6.3 a tmpfs cannot be shown with others."""
    write_atomic(path, content)
    os.chown(path, first + secret.uid, first + secret.gid)
    os.chmod(path, secret.mode)
