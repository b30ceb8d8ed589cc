# SPDX-License-Identifier: GPL-3.0-or-later
"""`comparisons`: how strictly each option is compared with the container that exists.

What a task gives is the whole truth unless it says otherwise: `ignore` never makes a difference, and with
`allow_more_present` lists and dictionaries may hold more than the task says.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadInput
from ..core.specs.container import ContainerSpec, Limits

STRICT, IGNORE, MORE = "strict", "ignore", "allow_more_present"
MODES = (STRICT, IGNORE, MORE)
ALL = "*"
Fields = Mapping[str, tuple[str, ...]]


def comparisons(
    value: dict[str, Any], fields: Mapping[str, tuple[str, ...]], aliases: Mapping[str, str]
) -> dict[str, str]:
    """The mode of each field of the specification that is not compared strictly.

    `fields` are those behind each option. An option may be called by an alias.
    """
    modes: dict[str, str] = {}
    for given, mode in value.items():
        option = aliases.get(given, given)
        if mode not in MODES:
            raise BadInput(f"comparisons: {given}: {mode!r} is not known", hint=f"give one of {', '.join(MODES)}")
        if option == ALL and mode == MORE:
            raise BadInput(f"comparisons: {ALL} cannot be {MORE}", hint=f"give {STRICT} or {IGNORE}")
        if option != ALL and option not in fields:
            raise BadInput(f"comparisons: {given!r} is not an option that is compared", hint="see the module's options")
        if modes.setdefault(option, mode) != mode:
            raise BadInput(f"comparisons: {given} is given twice, under two names", hint="give it once")
        if mode == MORE and not all(map(_is_collection, fields[option])):
            raise BadInput(
                f"comparisons: {given} has one value, which cannot be {MORE}", hint=f"give {STRICT} or {IGNORE}"
            )
    return _of_fields(modes, fields)


def _of_fields(modes: dict[str, str], fields: Fields) -> dict[str, str]:
    """Options that fill one field (`volumes`, `mounts` and `tmpfs`) are compared as one.

    One that fills several (`network_mode`, also the first of `networks`) gives way where another is just for the field.
    """
    found = {field: modes[ALL] for names in fields.values() for field in names} if ALL in modes else {}
    named: dict[str, str] = {}
    for option, mode in sorted(modes.items(), key=lambda item: len(fields.get(item[0], ()))):
        filled = fields.get(option, ())
        for field in filled:
            if named.setdefault(field, mode) != mode and len(filled) == 1:
                raise BadInput(f"comparisons: {option} is compared as one list with others", hint="give them one mode")
    return {field: mode for field, mode in {**found, **named}.items() if mode != STRICT}


def _is_collection(field: str) -> bool:
    for owner in (ContainerSpec, Limits):
        hint = typing.get_type_hints(owner).get(field)
        for part in (hint, *typing.get_args(hint)):
            if typing.get_origin(part) in (tuple, dict):
                return True
    return False
