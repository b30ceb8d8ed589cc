# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that people give, and names that the kernel accepts."""

from __future__ import annotations

import hashlib
import os
import re

from .errors import BadInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_INTERFACE = re.compile(r"(?!(?:lo|all|default)\Z)[A-Za-z][A-Za-z0-9_.-]{0,14}\Z")
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?\Z")
MAX_NAME = 200
MAX_HOSTNAME = 63  # __NEW_UTS_LEN is 64, with room for the final NUL


def check_name(kind: str, name: object) -> str:
    """A name that is safe as a file name; `BadInput` otherwise. `kind` is the noun for the message."""
    if not isinstance(name, str) or not _NAME.match(name) or len(name) > MAX_NAME:
        raise BadInput(
            f"{name!r} is not a {kind} name",
            hint=f"use 1 to {MAX_NAME} letters, digits, '_', '.' and '-', beginning with a letter or digit",
        )
    return name


def check_hostname(name: str) -> str:
    """A host name of RFC 1123 that fits the kernel's UTS field; `_`, which people use, is allowed as well."""
    if len(name) > MAX_HOSTNAME or not _HOSTNAME.match(name):
        raise BadInput(
            f"{name!r} is not a host name", hint=f"use letters, digits, '-', '_' and '.', at most {MAX_HOSTNAME}"
        )
    return name


def hostname_from(name: str) -> str:
    """The host name a container gets when none is given: its own name, made to fit."""
    cleaned = re.sub(r"[^A-Za-z0-9-]", "-", name)[:MAX_HOSTNAME].strip("-")
    return cleaned or "container"


def check_interface(option: str, name: str) -> str:
    """The name of a network interface that somebody gives: what the kernel takes (dev_valid_name), and a shell too."""
    if not _INTERFACE.match(name):
        raise BadInput(
            f"{option}: {name!r} cannot be the name of an interface",
            hint="use up to 15 letters, digits, '_', '.' and '-', beginning with a letter",
        )
    return name


def interface_name(prefix: str, key: str) -> str:
    """An interface name of at most 15 bytes (IFNAMSIZ - 1), derived: the same key always gives the same name."""
    room = 15 - len(prefix)
    return prefix + hashlib.sha256(key.encode()).hexdigest()[:room]


def new_id() -> str:
    """A container's id: 64 hexadecimal digits."""
    return os.urandom(32).hex()


def short_id(full: str) -> str:
    """The first 12 digits, as people write ids."""
    return full.rpartition(":")[2][:12]
