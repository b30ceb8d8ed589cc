# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's HTTP client as the transport of a registry's.

Proxies come from the environment. A login stands in a request's headers alone: `.netrc` is not read, no redirect is
followed here, and the body is handed on as it came.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPException
from queue import Empty, SimpleQueue
from typing import Any, Callable, NamedTuple, Optional
from urllib.error import HTTPError, URLError

from ansible.module_utils.urls import Request, make_context

from ..core.errors import BadInput, RegistryFailed
from ..image.layout import open_regular
from ..image.registry.transport import Lost, Reply, Transport


class Security(NamedTuple):
    """Whom to trust, and who we are."""

    validate_certs: bool = True
    ca_path: Optional[str] = None
    client_cert: Optional[str] = None
    client_key: Optional[str] = None


def transport(security: Security, timeout: float) -> Transport:
    """`timeout` is for each time that nothing comes.

    All requests have one TLS context and the same handlers. That they share it is on purpose: Ansible's client puts
    its handlers into a global place on each request, which would mix up threads that have different ones.
    """
    try:
        context = make_context(
            cafile=security.ca_path,
            validate_certs=security.validate_certs,
            client_cert=security.client_cert,
            client_key=security.client_key,
        )
    except (OSError, ValueError) as exc:  # an SSLError is an OSError
        raise BadInput(f"ca_path, client_cert or client_key cannot be used: {exc}") from exc
    client = Request(
        context=context,
        timeout=timeout,
        follow_redirects="none",
        use_netrc=False,
        decompress=False,
        http_agent="mini.containers",
    )

    def send(method: str, url: str, headers: Mapping[str, str], upload: str = "") -> Reply:
        try:
            if not upload:
                return _Answer(_in_time(lambda: client.open(method, url, headers=dict(headers)), 2 * timeout))
            with open(open_regular(upload), "rb") as body:
                length = {"content-length": str(os.fstat(body.fileno()).st_size)}
                return _Answer(client.open(method, url, data=body, headers={**headers, **length}))
        except HTTPError as exc:  # any status but 2xx
            return _Answer(exc)
        except (HTTPException, OSError, ValueError) as exc:
            raise _explained(exc) from exc

    return send


def _in_time(ask: Callable[[], Any], seconds: float) -> Any:
    """What `ask` returns or raises, if it does so in time.

    A client's time-out is for silence. Who sends a byte of its answer's head now and then, or says for ever that the
    answer is about to come (status 100), is never silent, and there is no other end to reading that. The thread that
    is left alone with it ends with the task.
    """
    answer: SimpleQueue[tuple[Any, Optional[Exception]]] = SimpleQueue()

    def run() -> None:
        try:
            answer.put((ask(), None))
        except Exception as exc:  # for the thread that waits
            answer.put((None, exc))

    threading.Thread(target=run, daemon=True).start()
    try:
        found, failure = answer.get(timeout=seconds)
    except Empty:
        raise Lost(f"timed out: no whole answer in {seconds:g} s") from None
    if failure is not None:
        raise failure
    return found


class _Answer:
    """A response, with the end of its body checked: reading what has come does not notice that some is missing."""

    def __init__(self, response: Any) -> None:
        self._response = response
        self.status: int = response.code
        self.headers: Mapping[str, str] = {
            name.lower(): ", ".join(response.headers.get_all(name)) for name in response.headers
        }
        length = self.headers.get("content-length", "")
        self._left = int(length) if length.isdecimal() and len(length) < 20 else 0
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._left = 0

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._response.read1(size)
        except (HTTPException, OSError, ValueError) as exc:
            raise _explained(exc) from exc
        self._left -= len(data)
        if not data and self._left > 0:
            raise Lost(f"the connection was closed {self._left} bytes before the end")
        return data

    def close(self) -> None:
        self._response.close()


def _explained(exc: Exception) -> Exception:
    """What another attempt may cure is `Lost`."""
    reason = exc.reason if isinstance(exc, URLError) else exc
    if isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_NONAME:
        return RegistryFailed("the registry's host is not known here by its name", hint="look at the host's resolver")
    if isinstance(reason, ssl.SSLCertVerificationError):
        hint = "give the registry's authority as ca_path"
        return RegistryFailed(f"the registry's certificate is not to be trusted: {reason.verify_message}", hint=hint)
    if isinstance(reason, ssl.SSLError) and reason.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return RegistryFailed("the registry does not speak TLS", hint="give plain_http: true if it may do without")
    if isinstance(reason, ssl.SSLError) and "CERTIFICATE" in (reason.reason or ""):
        return RegistryFailed(f"the registry refuses our certificate: {reason.reason}", hint="give client_cert")
    return Lost(str(reason) or type(reason).__name__)
