# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: from a task's options, or from the file that `docker login`, `podman login` or `skopeo login` wrote."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Optional

from ...core.errors import BadImage, BadInput
from ..document import MAX_DOCUMENT, Document, parse
from . import helper as helpers
from .address import HUB, Address

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io")


class Credentials(NamedTuple):
    """Who asks."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:  # what is shown may be logged
        return "Credentials(…)"

    def basic(self) -> str:
        """The header for HTTP's basic authentication."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def usual_files(environment: Mapping[str, str], home: str, uid: int) -> list[str]:
    """Where podman, and then docker, keep logins."""
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{uid}"
    docker = environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    named = environment.get("REGISTRY_AUTH_FILE")
    found = [
        os.path.join(runtime, "containers/auth.json" if environment.get("XDG_RUNTIME_DIR") else "auth.json"),
        os.path.join(home, ".config/containers/auth.json"),
        os.path.join(docker, "config.json"),
    ]
    return [named] if named else found


def look_up(paths: list[str], wanted: Address) -> Optional[Credentials]:
    """The login for the registry in the first file that has one. A file that does not exist has none."""
    for path in paths:
        try:
            raw = _read(path)
        except FileNotFoundError:
            continue
        found, helper = _in_file(raw, path, wanted)
        if found is None and helper:
            told = helpers.ask(helper, _HUB_KEY if wanted.host == HUB else wanted.host)
            found = Credentials(*told) if told else None
        if found is not None:
            return found
    return None


def _in_file(raw: bytes, path: str, wanted: Address) -> tuple[Optional[Credentials], str]:
    """The login, or else the name of the program that has it."""
    try:
        document = parse(raw, path)
        logins, programs = document.child("auths"), document.table("credHelpers")
        entry = next((logins.child(key) for key in _keys(wanted) if key in logins), None)
        # Where one program keeps all logins, an entry without any says that there is one for the registry.
        store = document.text("credsStore", "") if entry is not None else ""
        helper = next((programs[host] for host in hosts(wanted) if host in programs), store)
        return None if entry is None else _decode(entry), helper
    except (BadImage, ValueError):  # neither is shown: they may quote what is a secret
        raise BadInput(f"{path} is not a file of logins", hint="docker login or podman login writes one") from None


def _decode(entry: Document) -> Optional[Credentials]:
    """An entry without a password says that a helper program has it."""
    pair = base64.b64decode(entry.text("auth", ""), validate=True).decode()
    username, _colon, password = pair.rstrip("\0").partition(":")
    username, password = username or entry.text("username", ""), password or entry.text("password", "")
    return Credentials(username, password) if password else None


def hosts(wanted: Address) -> tuple[str, ...]:
    """What a registry is called: Docker Hub has several names."""
    return _HUB_NAMES if wanted.host == HUB else (wanted.host,)


def _keys(wanted: Address) -> Iterator[str]:
    """From the most particular entry, which only podman writes, to the host's, in each way it has been written."""
    parts = wanted.repository.split("/")
    for number in range(len(parts), 0, -1):
        yield "/".join((wanted.host, *parts[:number]))
    for host in hosts(wanted):
        for scheme in ("", "https://", "http://"):
            for version in ("", "/", "/v1/", "/v2/", "/v1", "/v2"):
                yield f"{scheme}{host}{version}"


def _read(path: str) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise BadInput(f"{path} cannot be read: {exc.strerror}", path=path, errno=exc.errno) from exc
    with open(fd, "rb") as handle:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise BadInput(f"{path} is not a regular file", path=path)
        return handle.read(MAX_DOCUMENT + 1)
