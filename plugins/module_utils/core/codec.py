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
from typing import Any, Callable, TypeVar, Union

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
    return _reader(cls)(value)


_Reader = Callable[[Any], Any]


@functools.cache
def _reader(cls: Any) -> _Reader:
    """What makes a `cls` of a value. To look at a type takes longer than to look at a value, and a host has hundreds of
    records of a few types."""
    if dataclasses.is_dataclass(cls):
        return functools.partial(_dataclass, cls)
    origin, arguments = typing.get_origin(cls), typing.get_args(cls)
    if origin is Union:
        inner = _reader(next(argument for argument in arguments if argument is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda value: tuple([item(each) for each in _expect(value, list, cls)])
    if origin is dict:
        item = _reader(arguments[1])
        return lambda value: {str(key): item(each) for key, each in _expect(value, dict, cls).items()}
    if cls is float:
        return lambda value: float(value if isinstance(value, int) else _expect(value, float, cls))
    checked = isinstance(cls, type) and cls is not object
    return lambda value: _expect(value, cls, cls) if checked else value


def _dataclass(cls: Any, value: Any) -> Any:
    _expect(value, dict, cls)
    of_older = getattr(cls, "of_older", None)
    value = of_older(value) if of_older else value
    readers = _readers(cls)
    return cls(**{name: readers[name](item) for name, item in value.items() if name in readers})


@functools.cache
def _readers(cls: type) -> dict[str, _Reader]:
    """Those of its fields."""
    hints = typing.get_type_hints(cls)
    return {field.name: _reader(hints[field.name]) for field in dataclasses.fields(cls)}


def _expect(value: Any, kind: type, wanted: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{value!r:.60} where {getattr(wanted, '__name__', wanted)} belongs")
    return value
