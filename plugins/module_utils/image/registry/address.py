# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a name's image is fetched from, by the rules that Docker users type by.

The first part of a name is a host when it has a dot, a colon or a capital letter, or is `localhost`; all other names
are Docker Hub's, and those of one part belong to its `library`.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from ...core.errors import BadInput
from ..reference import Reference, is_host, is_path

HUB = "docker.io"
_HUB_SERVER = "registry-1.docker.io"


class Address(NamedTuple):
    """A registry, a repository in it, and a tag or a digest there. `host` is what logins are filed under."""

    host: str
    repository: str
    version: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}{'@' if ':' in self.version else ':'}{self.version}"

    @property
    def server(self) -> str:
        """Whom to ask."""
        return _HUB_SERVER if self.host == HUB else self.host


def parts_of(url: str, base: str = "") -> SplitResult:
    """What a URL consists of that others wrote, in whole or for `base`; no part at all when it cannot be one."""
    try:
        parts = urlsplit(urljoin(base, url))
        _checked = parts.port
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def is_of_link(host: str) -> bool:
    """Whether it is, in any of the ways that a resolver takes, an address of the link alone: a cloud tells its machines
    their secrets there."""
    try:
        found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        try:
            found = ipaddress.ip_address(host)
        except ValueError:
            return False
    return (getattr(found, "ipv4_mapped", None) or found).is_link_local


def mirror(text: str, of: Address) -> tuple[Address, bool]:
    """Where a mirror, `host[:port][/path]`, has what is at an address, and whether it is spoken to in the clear.

    That is only so when it says `http://`.
    """
    scheme, _sep, rest = text.rpartition("://")
    host, slash, path = rest.rstrip("/").partition("/")
    if scheme not in ("", "https", "http") or not is_host(host) or (slash and not is_path(path)):
        raise BadInput(f"mirrors: {text!r} is not a registry", hint="write host, host:port or host/path")
    return Address(host, f"{path}/{of.repository}" if path else of.repository, of.version), scheme == "http"


def address(reference: Reference) -> Address:
    """The digest says all there is to say: a tag beside it is not asked for, as in Docker."""
    host, slash, rest = reference.name.partition("/")
    version = reference.digest or reference.tag
    if slash and (host == "localhost" or "." in host or ":" in host or host != host.lower()):
        return Address(host, rest, version)
    return Address(HUB, reference.name if slash else f"library/{reference.name}", version)
