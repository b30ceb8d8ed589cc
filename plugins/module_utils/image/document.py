# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON that somebody else wrote: bounded, no key twice (I-JSON, RFC 7493), every value checked for its type."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..core.errors import BadImage

MAX_DOCUMENT = 4 * 2**20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class Document:
    """A JSON object and where it came from; each getter returns a value of the right type or raises `BadImage`.

    A key that is missing and one that is null mean the same, as Docker and Go write both.
    """

    def __init__(self, value: dict[str, Any], source: str) -> None:
        self._value = value
        self.source = source

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._get(key, str, default))

    def number(self, key: str) -> int:
        value = self._get(key, int, None)
        if isinstance(value, bool) or not 0 <= value < 2**63:
            self._wrong(key, value)
        return int(value)

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, False))

    def digest(self, key: str) -> str:
        value = self.text(key)
        if not _DIGEST.match(value):
            self._wrong(key, value)
        return value

    def child(self, key: str) -> Document:
        return Document(self._get(key, dict, {}), f"{self.source}, {key}")

    def children(self, key: str) -> list[Document]:
        found = self._get(key, list, [])
        return [Document(self._expect(key, item, dict), f"{self.source}, {key}[{n}]") for n, item in enumerate(found)]

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self._expect(key, item, str) for item in self._get(key, list, []))

    def table(self, key: str) -> dict[str, str]:
        return {
            self._expect(key, name, str): self._expect(key, item, str)
            for name, item in self._get(key, dict, {}).items()
        }

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of an object whose values say nothing, as `ExposedPorts` has them."""
        return tuple(sorted(self._expect(key, name, str) for name in self._get(key, dict, {})))

    def _get(self, key: str, kind: type, default: Any) -> Any:
        value = self._value.get(key)
        if value is not None:
            return self._expect(key, value, kind)
        if default is None:
            raise BadImage(f"{self.source} has no {key}")
        return default

    def _expect(self, key: str, value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            self._wrong(key, value)
        if isinstance(value, str) and not _is_text(value):
            self._wrong(key, value)
        return value

    def _wrong(self, key: str, value: Any) -> NoReturn:
        raise BadImage(f"{self.source}: {key} cannot be {value!r:.60}")


def parse(raw: bytes, source: str) -> Document:
    """The object in `raw`; `source` names it in errors."""
    if len(raw) > MAX_DOCUMENT:
        raise BadImage(f"{source} is larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_bounded)
    except (ValueError, RecursionError) as exc:
        raise BadImage(f"{source} is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise BadImage(f"{source} is not a JSON object")
    return Document(value, source)


def serialise(value: Any) -> bytes:
    """The one spelling that we give to a value, so that equal content has an equal digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _is_text(value: str) -> bool:
    """Neither NUL, which ends a C string, nor half a surrogate pair, which no encoder takes."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


def _bounded(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError("a number is too long")
    return int(digits)
