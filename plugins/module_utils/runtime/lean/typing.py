# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for `typing`: annotations are never evaluated here, and what is left of it are tuples with names."""

from __future__ import annotations

import _operator
import sys


class _Alias:
    """What takes types in brackets; the type checker has looked at them."""

    def __getitem__(self, _types: object) -> _Alias:
        return self


Any = Callable = NoReturn = Optional = Union = _Alias()


class NamedTuple(tuple):  # type: ignore[type-arg]
    """A tuple whose fields are what its subclass annotates."""

    _fields: tuple[str, ...] = ()
    _defaults: dict[str, object] = {}  # noqa: RUF012

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(sys.intern(name) for name in cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(_operator.itemgetter(index)))

    def __new__(cls, *values: object, **named: object) -> NamedTuple:
        missing = cls._fields[len(values) :]
        given = {**cls._defaults, **named}
        if len(values) > len(cls._fields) or not named.keys() <= set(missing) <= given.keys():
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
        return tuple.__new__(cls, (*values, *(given[name] for name in missing)))

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self))

    def _replace(self, **named: object) -> NamedTuple:
        return type(self)(**{**self._asdict(), **named})
