# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for `json`: the parts of it that are in C, without the regular expressions that it imports beside them."""

from __future__ import annotations

from _json import encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class _Reading:
    """What `make_scanner` asks for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no place in a JSON document")


_scan = make_scanner(_Reading)  # type: ignore[arg-type]
_parts = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, False)


def loads(text: str | bytes) -> Any:
    """The value that a document stands for; ValueError when it is none."""
    stripped = (text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text).strip()
    try:
        value, end = _scan(stripped, 0)
    except (StopIteration, ImportError, SystemError) as exc:  # its own error the scanner would find in json.decoder
        raise ValueError("not a JSON document") from exc
    if end != len(stripped):
        raise ValueError("more than a JSON document")
    return value


def dumps(value: object) -> str:
    """A document that stands for the value, in ASCII."""
    return "".join(_parts(value, 0))
