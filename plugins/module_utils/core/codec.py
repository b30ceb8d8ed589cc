# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses ⇄ JSON records with a schema version.

Only what records need: dataclasses, tuples, string-keyed mappings, optionals, numbers, strings, booleans.
A record of an older schema is read: missing fields take their defaults, and a class whose fields have changed says in
`of_older` what they were. A newer one is refused untouched.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Any, TypeVar, Union

from .errors import CorruptRecord

SCHEMA = 2
T = TypeVar("T")


def encode(value: Any) -> bytes:
    """A dataclass as JSON with a line for each of its fields, so that a person can read the state directory.

    The lines are put together here: told to indent, the encoder is ten times slower.
    """
    document = {"schema": SCHEMA, **_fields(value)}
    lines = (f" {_ENCODER.encode(name)}: {_ENCODER.encode(document[name])}" for name in sorted(document))
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_ENCODER = json.JSONEncoder(sort_keys=True, default=_fields)


def decode(cls: type[T], raw: bytes, source: str) -> T:
    """The dataclass `cls` from a record; `CorruptRecord` names `source` and what is wrong with it."""
    try:
        document = json.loads(raw)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        schema = document.pop("schema", None)
        if not isinstance(schema, int) or schema > SCHEMA:
            raise ValueError(f"schema {schema!r} is not one this version knows ({SCHEMA})")
        return typing.cast(T, from_plain(cls, document))
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise CorruptRecord(f"cannot read the record {source}: {exc}", path=source) from exc


def from_plain(cls: Any, value: Any) -> Any:
    """`value`, made of JSON's types, as the type `cls`."""
    if dataclasses.is_dataclass(cls):
        return _dataclass(typing.cast(type, cls), value)
    origin = typing.get_origin(cls)
    arguments = typing.get_args(cls)
    if origin is Union:
        inner = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else from_plain(inner[0], value)
    if origin is tuple:
        _expect(value, list, cls)
        return tuple(from_plain(arguments[0], item) for item in value)
    if origin is dict:
        _expect(value, dict, cls)
        return {str(key): from_plain(arguments[1], item) for key, item in value.items()}
    if cls is float and isinstance(value, int):
        return float(value)
    if isinstance(cls, type) and cls is not object:
        _expect(value, cls, cls)
    return value


def _dataclass(cls: type, value: Any) -> Any:
    _expect(value, dict, cls)
    of_older = getattr(cls, "of_older", None)
    value = of_older(value) if of_older else value
    hints = _hints(cls)
    known = {field.name for field in dataclasses.fields(cls)}
    return cls(**{name: from_plain(hints[name], item) for name, item in value.items() if name in known})


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """The types of the fields. To evaluate them takes longer than all else, and a host has hundreds of records."""
    return typing.get_type_hints(cls)


def _expect(value: Any, kind: type, wanted: Any) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{value!r:.60} where {getattr(wanted, '__name__', wanted)} belongs")
