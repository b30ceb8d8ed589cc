# SPDX-License-Identifier: GPL-3.0-or-later
"""Health checks as the engine sees them: which one a container has, and how it is shown. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Optional

from ...core.specs.container import ContainerSpec
from ...core.specs.image import Healthcheck, ImageConfig
from ...runtime.health import Check

SHELL = ("/bin/sh", "-c")
SECOND = 10**9
PAUSES = ("interval", "start_interval")
# What Docker's daemon takes when neither the task nor the image says (moby: daemon/health.go).
DEFAULTS = Healthcheck(interval=30 * SECOND, timeout=30 * SECOND, start_period=0, start_interval=5 * SECOND, retries=3)


def effective(spec: ContainerSpec, image: ImageConfig) -> Optional[Healthcheck]:
    """The container's health check: the task's, completed by the image's, and both by the defaults; None for none."""
    found = combined(spec, image) or Healthcheck()
    known = found.test[:1] in (("CMD",), ("CMD-SHELL",)) and len(found.test) > 1
    return _over(found, DEFAULTS) if known else None


def combined(spec: ContainerSpec, image: ImageConfig) -> Optional[Healthcheck]:
    """The task's, completed by the image's."""
    of_image = _unhurried(image.healthcheck) if image.healthcheck else None
    if spec.healthcheck and of_image:
        return _over(spec.healthcheck, of_image)
    return spec.healthcheck or of_image


def _unhurried(found: Healthcheck) -> Healthcheck:
    """The same, its probes a second apart: an image may not keep the monitor busy, whose time no limit counts."""
    times = {name: max(getattr(found, name), SECOND) for name in PAUSES if getattr(found, name)}
    return replace(found, **times)


def _over(upper: Healthcheck, lower: Healthcheck) -> Healthcheck:
    """Each value of the upper one that is given, else that of the lower one."""
    return Healthcheck(
        upper.test or lower.test,
        upper.interval or lower.interval,
        upper.timeout or lower.timeout,
        upper.start_period or lower.start_period,
        upper.start_interval or lower.start_interval,
        upper.retries or lower.retries,
    )


def annotation(spec: ContainerSpec, image: ImageConfig) -> str:
    """What the monitor is told; empty for no check."""
    found = effective(spec, image)
    if found is None:
        return ""
    kind, *words = found.test
    check = Check(
        [*SHELL, *words] if kind == "CMD-SHELL" else words,
        found.interval / SECOND,
        found.timeout / SECOND,
        found.start_period / SECOND,
        found.start_interval / SECOND,
        found.retries,
    )
    return json.dumps(check._asdict())


def inspect(found: Optional[Healthcheck]) -> dict[str, Any]:
    """As `docker inspect` shows one under `Config`."""
    if found is None:
        return {}
    return {
        "Healthcheck": {
            "Test": list(found.test),
            "Interval": found.interval,
            "Timeout": found.timeout,
            "StartPeriod": found.start_period,
            "StartInterval": found.start_interval,
            "Retries": found.retries,
        }
    }


def inspect_state(known: Optional[dict[str, Any]]) -> dict[str, Any]:
    """As `docker inspect` shows the results under `State`."""
    if not known:
        return {}
    log = [
        {"Start": entry["start"], "End": entry["end"], "ExitCode": entry["exit_code"], "Output": entry["output"]}
        for entry in known["log"]
    ]
    return {"Health": {"Status": known["status"], "FailingStreak": known["failing_streak"], "Log": log}}
