# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say how a registry is spoken to, and a client made of them."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..core.errors import BadInput
from ..image.reference import Reference

if TYPE_CHECKING:
    from ..image.registry.address import Address
    from ..image.registry.client import Registry
    from ..image.registry.credentials import Credentials

REGISTRY_OPTIONS: dict[str, Any] = {
    "mirrors": {"type": "list", "elements": "str"},
    "registry_username": {"type": "str"},
    "registry_password": {"type": "str", "no_log": True},
    "auth_file": {"type": "path"},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "validate_certs": {"type": "bool", "default": True},
    "plain_http": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
}
# What a task says of a registry when it says nothing.
ANONYMOUS = {name: option.get("default") for name, option in REGISTRY_OPTIONS.items()}


def _silent(_complaint: str) -> None:
    """Who does not want to know which mirror is of no use."""


def connection(
    params: dict[str, Any], reference: Reference, warn: Callable[[str], None] = _silent
) -> Callable[[], Registry]:
    """A client for the registry that the name means, made when it is first asked for: HTTP takes long to load.

    `warn` is told which mirrors are of no use.
    """

    @functools.cache
    def connect() -> Registry:
        from ..image.registry.address import address, mirror
        from ..image.registry.client import Registry
        from ..image.registry.session import Session
        from .http import Security, transport

        where, timeout = address(reference), params["timeout"]
        if timeout <= 0:
            raise BadInput(f"timeout: {timeout} is not a number of seconds", hint="give a whole number above 0")
        mirrored = [mirror(text, where) for text in params.get("mirrors") or ()]
        login = _given(params, where) or _found(params, where)
        send = transport(Security(*(params[option] for option in Security._fields)), timeout)
        mirrors = [
            Session(send, place, _found(params, place), plain_http=plain, attempts=1) for place, plain in mirrored
        ]
        return Registry(Session(send, where, login, plain_http=params["plain_http"]), timeout, mirrors, warn)

    return connect


def _given(params: dict[str, Any], where: Address) -> Optional[Credentials]:
    """The task's own login: for the registry that the name means, or the one that `registry` says, of several."""
    from ..image.registry.credentials import Credentials, hosts

    if params.get("registry") and params["registry"] not in hosts(where):
        return None
    username, password = params.get("registry_username"), params.get("registry_password")
    if bool(username) != bool(password):
        raise BadInput("registry_username and registry_password: one is given, and the other is not")
    return Credentials(username, password) if username and password else None


def _found(params: dict[str, Any], where: Address) -> Optional[Credentials]:
    """A login that somebody has left on this host for just that registry."""
    from ..image.registry.credentials import look_up, usual_files

    path = params.get("auth_file")
    if path and not os.path.exists(path):
        raise BadInput(f"auth_file: there is no {path}", path=path)
    home = os.path.expanduser("~")
    return look_up([path] if path else usual_files(os.environ, home, os.getuid()), where)
