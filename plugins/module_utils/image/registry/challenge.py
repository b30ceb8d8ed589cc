# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry wants to see (`WWW-Authenticate`), and the token that it wants to see."""

from __future__ import annotations

import re
from typing import NamedTuple, Optional
from urllib.parse import urlencode, urlunsplit

from ...core.errors import BadImage, RegistryFailed
from ..document import parse
from .address import is_of_link, parts_of

_SCHEME = re.compile(r"\s*(?:,\s*)?([A-Za-z]+)(?:\s+(?!=)|\Z|(?=,))")
_PARAMETER = re.compile(r'\s*,?\s*([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|([^",\s]+))')
_MAX = 4096


class Challenge(NamedTuple):
    """A scheme, `basic` or `bearer`, and for the latter where a token is to be had, and for what."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def read(header: str, server: str) -> Challenge:
    """The first of the schemes that we know; tokens before passwords."""
    found = {one.scheme: one for one in reversed(_all(header[:_MAX]))}
    for scheme in ("bearer", "basic"):
        if scheme in found:
            return found[scheme]
    raise RegistryFailed(f"{server} wants a kind of authentication that is not known here: {header[:80]!r}")


def _all(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while True:
        match = _SCHEME.match(header, position)
        if match is None:
            return found
        scheme, position = match[1].lower(), match.end()
        values: dict[str, str] = {}
        while True:
            parameter = _PARAMETER.match(header, position)
            if parameter is None:
                break
            values[parameter[1].lower()] = parameter[2] if parameter[2] is not None else parameter[3]
            position = parameter.end()
        found.append(Challenge(scheme, *(values.get(name, "") for name in ("realm", "service", "scope"))))


def token_url(challenge: Challenge, server: str, *, plain_http: bool) -> str:
    """Where the token is. A password is never sent there in the clear because a registry says so."""
    parts = parts_of(challenge.realm)
    allowed = ("https", "http") if plain_http else ("https",)
    if parts.scheme not in allowed or not parts.netloc or "@" in parts.netloc or is_of_link(parts.hostname or ""):
        raise RegistryFailed(f"{server} sends for a token to {challenge.realm[:80]!r}, which cannot be trusted")
    asked = urlencode([pair for pair in (("service", challenge.service), ("scope", challenge.scope)) if pair[1]])
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, asked))), fragment=""))


def token(raw: bytes, server: str) -> str:
    """The token in the answer, under either of the names it goes by."""
    found: Optional[str]
    try:
        answer = parse(raw, "the answer")
        found = answer.text("token", "") or answer.text("access_token", "")
    except BadImage:  # not shown: it may quote a token
        found = None
    if not found or not found.isascii() or not found.isprintable():
        raise RegistryFailed(f"what {server} was sent to for a token gave none")
    return found
