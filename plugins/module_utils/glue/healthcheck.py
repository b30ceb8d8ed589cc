# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `healthcheck` as a specification, with the meaning that `docker_container` gives to its parts."""

from __future__ import annotations

from typing import Any

from ..core.errors import BadInput
from ..core.specs.image import Healthcheck
from ..core.units import parse_duration
from .options import text, words

DURATIONS = ("interval", "timeout", "start_period", "start_interval")
KINDS = ("NONE", "CMD", "CMD-SHELL")
NONE = Healthcheck(("NONE",))


def healthcheck(value: dict[str, Any]) -> Healthcheck:
    """A health check; what is left out is the image's, else the default. `NONE` takes the image's away, and so does no
    test at all when the task does not want it to be filled in as Docker's command line does.
    """
    given = {name: item for name, item in value.items() if item is not None}
    test = _test(given.get("test") or ())
    if test[:1] == ("NONE",) or (not test and not given.get("test_cli_compatible", True)):
        return NONE
    times = {name: parse_duration(f"healthcheck: {name}", given[name]) for name in DURATIONS if name in given}
    retries = given.get("retries", 0)
    if retries < 0:
        raise BadInput(f"healthcheck: retries: {retries} is negative", hint="give how many failures are one too many")
    return Healthcheck(test, **times, retries=retries)


def _test(value: Any) -> tuple[str, ...]:
    """A string is for the container's shell; a list says by its first item what the rest is."""
    if isinstance(value, str):
        return NONE.test if value == "NONE" else ("CMD-SHELL", text("healthcheck: test", value))
    found = words("healthcheck: test", list(value) if isinstance(value, tuple) else value)
    if found and found[0] not in KINDS:
        raise BadInput(f"healthcheck: test: {found[0]!r} is no kind of test", hint=f"begin with {', '.join(KINDS)}")
    if found and (len(found) == 1) != (found[0] == "NONE"):
        raise BadInput(f"healthcheck: test: {list(found)!r} is not whole", hint="write it as [CMD, program, argument]")
    if found[:1] == ("CMD-SHELL",) and len(found) > 2:
        raise BadInput("healthcheck: test: CMD-SHELL takes one string", hint="use CMD for a list of words")
    return found
