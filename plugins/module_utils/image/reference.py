# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images as people type them: `name[:tag][@digest]`, where `name` may carry a registry's host and port.

The canonical form is `name:tag`; the tag is `latest` when there is neither one nor a digest, and `name@digest` when
there is only that. What means the same is written the short way: `docker.io/library/busybox` is `busybox`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..core.errors import BadInput

DEFAULT_TAG = "latest"
MAX_NAME = 255

_HUB = ("docker.io/", "index.docker.io/")
_OFFICIAL = "library/"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?\Z"  # compiled when there is one
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})\Z")
_SHORT_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12,64})\Z")


class Reference(NamedTuple):
    """One name, taken apart. Only with a digest may the tag be empty."""

    name: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}" if self.tag else f"{self.name}@{self.digest}"


def parse(text: object, tag: str | None = None) -> Reference:
    """The reference that `text` means; `tag`, an option of its own, must not contradict a tag in the text."""
    if not isinstance(text, str) or not text:
        raise BadInput(f"{text!r} is not an image name", hint="write name[:tag]")
    rest, _at, digest = text.partition("@")
    if digest and not _DIGEST.match(digest):
        raise BadInput(f"image {text!r}: {digest!r} is not a digest", hint="write sha256: and 64 hexadecimal digits")
    name, colon, written = rest.rpartition(":")
    if not colon or "/" in written:  # a colon before the last slash belongs to a registry's port
        name, written = rest, ""
    elif not written:
        raise BadInput(f"image {text!r}: the tag is empty", hint="leave the colon out, or write a tag behind it")
    if written and tag and written != tag:
        raise BadInput(f"image {text!r} has a tag already, and tag: {tag!r} is another", hint="give one of them")
    chosen = written or tag or ("" if digest else DEFAULT_TAG)
    return Reference(_familiar(_check_name(text, name)), _check_tag(text, chosen) if chosen else "", digest)


def _familiar(name: str) -> str:
    """Docker Hub's names as its users write them."""
    for host in _HUB:
        if name.startswith(host):
            rest = name[len(host) :]
            official = rest[len(_OFFICIAL) :] if rest.startswith(_OFFICIAL) else ""
            return official if official and "/" not in official else rest
    return name


def _check_name(text: str, name: str) -> str:
    if _is_name(name) and len(name) <= MAX_NAME and not _ID.match(name):
        return name
    if _is_name(name.lower()):
        raise BadInput(f"image {text!r}: the name must be in lower case", hint=f"write {name.lower()!r}")
    raise BadInput(
        f"{text!r} is not an image name",
        hint=f"use at most {MAX_NAME} lower-case letters, digits, and '.', '_', '-' or '/' between them",
    )


def _is_name(name: str) -> bool:
    """Components between slashes; the first is a host when it could be nothing else, as in Docker."""
    host, slash, rest = name.partition("/")
    if slash and (host == "localhost" or not _COMPONENT.match(host) or "." in host):
        if not is_host(host):
            return False
        name = rest
    return is_path(name)


def is_host(text: str) -> bool:
    """A host, perhaps with a port. An address of IPv6 stands in brackets."""
    return re.match(_HOST, text) is not None


def is_path(text: str) -> bool:
    """Components between slashes, as repositories are called."""
    return all(_COMPONENT.match(component) for component in text.split("/"))


def _check_tag(text: str, tag: str) -> str:
    if not _TAG.match(tag):
        raise BadInput(
            f"image {text!r}: {tag!r} is not a tag",
            hint="use at most 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'",
        )
    return tag


def full_id(text: str) -> str | None:
    """`sha256:…` when `text` can only be an id: 64 hexadecimal digits, with or without that prefix."""
    match = _ID.match(text)
    return f"sha256:{match[1]}" if match else None


def id_prefix(text: str) -> str | None:
    """`sha256:…` of the beginning of an id, when `text` could be one: 12 hexadecimal digits or more."""
    match = _SHORT_ID.match(text)
    return f"sha256:{match[1]}" if match else None


def means(text: str, wanted: Reference) -> bool:
    """Whether somebody else's spelling of a name, which may be none at all, is the one that is wanted."""
    try:
        return str(parse(text)) == str(wanted)
    except BadInput:
        return False


def repository(text: str) -> str:
    """The name in a reference's canonical form, without its tag or digest."""
    return text.partition("@")[0] if "@" in text else text.rpartition(":")[0]
