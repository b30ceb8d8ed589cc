# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to one repository of a registry: logging in, redirects, and another attempt where that may help.

A registry sends elsewhere for its blobs, to whoever stores them for it. Logins never go along to another host, and
nothing is asked for in the clear that was to be encrypted.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Collection, Mapping
from typing import Callable, Optional
from urllib.parse import SplitResult, urljoin, urlsplit

from ...core.errors import BadImage, MiniError, NotFound, RegistryFailed
from ..document import parse
from . import challenge
from .address import Address, is_of_link, parts_of
from .credentials import Credentials
from .transport import MAX_ANSWER, Lost, Reply, Transport, read_all

ATTEMPTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_REPEATED = (307, 308)  # whoever sends something is sent on with it by these alone
_MAX_HOPS = 5
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_MAX_PAUSE = 60.0
_MAX_TOKEN = 2**20


class Session:
    """`pause` waits for some seconds between attempts. Threads may share one."""

    def __init__(
        self,
        transport: Transport,
        where: Address,
        credentials: Optional[Credentials] = None,
        *,
        plain_http: bool = False,
        attempts: int = ATTEMPTS,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.where = where
        self.attempts = attempts
        self.pause = pause
        self._transport = transport
        self._credentials = credentials
        self._plain_http = plain_http
        self._base = f"{'http' if plain_http else 'https'}://{where.server}/v2/{where.repository}/"
        self._authorization = ""
        self._lock = threading.Lock()

    def ask(
        self,
        method: str,
        path: str,
        headers: Optional[Mapping[str, str]] = None,
        accept: Collection[int] = (200,),
        *,
        stop: Optional[threading.Event] = None,
        upload: str = "",
    ) -> Reply:
        """The answer, when its status is one of `accept`. Whoever gets it closes it. After `stop` nothing is asked.

        `path` may be a whole URL, as `elsewhere` gives it; `upload` is a file to send.
        """
        reason, wait = "", 0.0
        for attempt in range(self.attempts):
            if attempt:
                self.pause(max(wait, backoff(attempt)))
            if stop is not None and stop.is_set():
                raise RegistryFailed(f"{self.where} is not waited for any more")
            try:
                reply = self._authorised(method, urljoin(self._base, path), headers or {}, upload)
            except Lost as exc:
                reason, wait = str(exc), 0.0
                continue
            if reply.status in accept:
                return reply
            refusal = self._refusal(reply)
            if reply.status not in _BUSY:
                raise refusal
            reason, wait = refusal.message, _retry_after(reply)
        raise RegistryFailed(
            f"no answer about {self.where}, after {self.attempts} attempts: {reason}",
            hint=f"see whether this host reaches {self.where.server}; its proxy is set by the task's environment",
        )

    def document(
        self, path: str, headers: Mapping[str, str], limit: int, patience: float
    ) -> tuple[Mapping[str, str], bytes]:
        """A small answer: what it says of itself, and what it is. One that breaks off is asked for again."""
        reason = ""
        for attempt in range(self.attempts):
            if attempt:
                self.pause(backoff(attempt))
            reply = self.ask("GET", path, headers)
            try:
                return reply.headers, read_all(reply, limit, f"what {self.where.server} sends as {path}", patience)
            except Lost as exc:
                reason = str(exc)
            finally:
                reply.close()
        raise RegistryFailed(f"{self.where.server} breaks off again and again in {path}: {reason}")

    def elsewhere(self, reply: Reply) -> str:
        """Where the registry wants the next request of a dialogue to go."""
        return self._target(self._base, reply)

    def _authorised(self, method: str, url: str, headers: Mapping[str, str], upload: str) -> Reply:
        """With the login that the registry asks for, once it does."""
        if _origin(url) != _origin(self._base):
            return self._follow(method, url, headers, upload)[0]
        used = self._authorization
        reply, from_url = self._follow(method, url, _with(headers, used), upload)
        if reply.status != 401 or _origin(from_url) != _origin(url):
            return reply
        reply.close()
        return self._follow(method, url, _with(headers, self._log_in(reply, used)), upload)[0]

    def _sent(self, method: str, url: str, headers: Mapping[str, str], upload: str) -> Reply:
        """Who carries it knows why it cannot be, and not what is asked for."""
        try:
            return self._transport(method, url, headers, upload)
        except RegistryFailed as exc:
            exc.message = f"{self.where}: {exc.message}"
            raise

    def _follow(self, method: str, url: str, headers: Mapping[str, str], upload: str = "") -> tuple[Reply, str]:
        """The answer behind all redirects, and where it is from."""
        for _hop in range(_MAX_HOPS + 1):
            reply = self._sent(method, url, headers, upload)
            if reply.status not in (_REDIRECTS if method in ("GET", "HEAD") else _REPEATED):
                return reply, url
            reply.close()
            target = self._target(url, reply)
            if _origin(target) != _origin(url):
                headers = {name: value for name, value in headers.items() if name != "authorization"}
            url = target
        raise RegistryFailed(f"{self.where.server} sends from one place to the next, more than {_MAX_HOPS} times")

    def _target(self, url: str, reply: Reply) -> str:
        location = reply.headers.get("location", "")
        parts = parts_of(location, url)
        allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
        host = parts.hostname or ""
        if parts.scheme not in allowed or not host or parts.username is not None or is_of_link(host):
            raise RegistryFailed(
                f"{self.where.server} sends to {_show(parts)}, where nothing is fetched from",
                hint="only https is, and plain HTTP with plain_http: true alone; never an address of the link alone",
            )
        return urljoin(url, location)

    def _log_in(self, reply: Reply, used: str) -> str:
        """A new `Authorization`, unless another thread has got one meanwhile."""
        with self._lock:
            if self._authorization == used:
                wanted = challenge.read(reply.headers.get("www-authenticate", ""), self.where.server)
                self._authorization = self._token(wanted) if wanted.scheme == "bearer" else self._basic(reply)
            return self._authorization

    def _basic(self, reply: Reply) -> str:
        if self._credentials is None:
            raise self._refusal(reply)
        return self._credentials.basic()

    def _token(self, wanted: challenge.Challenge) -> str:
        if not wanted.scope:
            wanted = wanted._replace(scope=f"repository:{self.where.repository}:pull")
        url = challenge.token_url(wanted, self.where.server, plain_http=self._plain_http)
        reply, _url = self._follow("GET", url, _with({}, self._credentials.basic() if self._credentials else ""))
        try:
            if reply.status in _BUSY:
                raise Lost(f"the token server answers {reply.status}")
            if reply.status != 200:
                raise self._refusal(reply)
            return "Bearer " + challenge.token(read_all(reply, _MAX_TOKEN, "the token"), self.where.server)
        finally:
            reply.close()

    def _refusal(self, reply: Reply) -> MiniError:
        """What a status means to whoever wrote the task."""
        said = _said(reply)
        reply.close()
        if reply.status == 404:
            return NotFound(f"{self.where.server} has no {self.where}{said}", hint="see whether name and tag are right")
        if reply.status in (401, 403):
            hint = "log in with registry_username and registry_password, or with auth_file"
            done = "does not let this login have" if self._credentials else "does not let everybody have"
            return RegistryFailed(f"{self.where.server} {done} {self.where}{said}", hint=hint)
        return RegistryFailed(f"{self.where.server} answers {reply.status} to a request for {self.where}{said}")


def backoff(attempt: int) -> float:
    """Seconds before another attempt: twice as long each time, and never the same on two hosts."""
    return float(min(0.5 * 2 ** (attempt - 1), _MAX_PAUSE) * random.uniform(0.5, 1))


def _with(headers: Mapping[str, str], authorization: str) -> Mapping[str, str]:
    return {**headers, "authorization": authorization} if authorization else headers


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _retry_after(reply: Reply) -> float:
    said = reply.headers.get("retry-after", "")
    return min(float(said), _MAX_PAUSE) if said.isdecimal() and len(said) < 6 else 0.0


def _said(reply: Reply) -> str:
    """The registry's own words, when it has any."""
    try:
        errors = parse(read_all(reply, MAX_ANSWER, "the answer"), "the answer").children("errors")
        text = "; ".join(filter(None, (error.text("message", "") for error in errors)))
    except (BadImage, RegistryFailed, Lost):
        return ""
    text = "".join(character if character.isprintable() else " " for character in text[:200])
    return f": {text}" if text else ""


def _show(parts: SplitResult) -> str:
    """Without what may be a secret: signatures are in the query."""
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200] if parts.scheme else "what is no address"
