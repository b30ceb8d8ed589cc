# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of `mini_prune` in canonical form: filters as Docker writes them."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any, Callable, Optional

from ..core.errors import BadInput
from ..core.units import parse_duration
from ..engine.prune.filters import Filters, Label
from ..engine.prune.observe import Wanted
from .options import text

_KINDS = ("containers", "images", "networks", "volumes")
_COMMON = ("until", "label", "label!")
# The filter that widens what is taken, and the value for which it does.
_WIDER = {"images": ("dangling", False), "volumes": ("all", True)}
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?\Z")


def wanted(params: dict[str, Any], now: Callable[[], float] = time.time) -> Wanted:
    """Which kinds are pruned, and what of them."""
    kinds = {kind: _filters(kind, params.get(f"{kind}_filters") or {}, now) for kind in _KINDS if params.get(kind)}
    return Wanted(**kinds, builder_cache=bool(params.get("builder_cache")))


def _filters(kind: str, given: dict[str, Any], now: Callable[[], float]) -> Filters:
    option = f"{kind}_filters"
    wider, value = _WIDER.get(kind, ("", True))
    known = [name for name in (*_COMMON, wider) if name and (name != "until" or kind != "volumes")]
    wrong = next((name for name in given if name not in known), None)
    if wrong is not None:
        raise BadInput(f"{option}: there is no filter {wrong!r}", hint=f"there are {', '.join(known)}")
    return Filters(
        before=_until(option, given["until"], now) if "until" in given else None,
        labels=_labels(option, given.get("label", ())),
        without=_labels(option, given.get("label!", ())),
        every=wider in given and _flag(f"{option}: {wider}", given[wider]) == value,
    )


def _labels(option: str, given: Any) -> tuple[Label, ...]:
    return tuple(_label(option, item) for item in (given if isinstance(given, (list, tuple)) else [given]))


def _label(option: str, item: Any) -> Label:
    name, equals, value = text(option, item).partition("=")
    if not name:
        raise BadInput(f"{option}: {item!r} is not a label", hint="write it as name or name=value")
    return name, value if equals else None


def _flag(option: str, value: Any) -> bool:
    found = str(value[0] if isinstance(value, list) and len(value) == 1 else value).lower()
    if found not in (*_YES, *_NO):
        raise BadInput(f"{option}: {value!r} is neither true nor false")
    return found in _YES


def _until(option: str, value: Any, now: Callable[[], float]) -> float:
    """A span before now, a number of seconds since 1970, or a date and time, which is the host's without a zone."""
    given = text(f"{option}: until", value)
    if _NUMBER.match(given):
        return float(given)
    moment = _moment(given)
    return now() - parse_duration(f"{option}: until", given) / 10**9 if moment is None else moment


def _moment(given: str) -> Optional[float]:
    try:
        return datetime.datetime.fromisoformat(re.sub(r"Z\Z", "+00:00", given)).timestamp()
    except ValueError:
        return None
