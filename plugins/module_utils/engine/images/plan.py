# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a task asks of an image, and what is there, to the steps between. Pure: nothing is read or written."""

from __future__ import annotations

from dataclasses import fields
from typing import Optional

from ...core.errors import NotFound
from ...core.names import short_id
from ...core.plan import Plan, Step
from ...core.specs.image import ImageConfig
from ...image.origin import REGISTRY, Source
from .observe import Observation
from .spec import ImageSpec, overlay


def plan_present(wanted: ImageSpec, seen: Observation) -> Plan:
    """The image exists, made from its source, with the configuration asked for."""
    steps = _content(wanted, seen)
    if not steps and seen.missing:
        steps.append(_step("unpack", wanted, seen, f"{len(seen.missing)} of its layers are not unpacked"))
    changed = any(step.name != "unpack" for step in steps)
    if wanted.archive_path and (not seen.exported or changed):
        steps.append(Step("export", wanted.archive_path, f"the image {wanted.reference}", detail=_detail(wanted, seen)))
    if wanted.push and (not seen.pushed or changed):
        steps.append(_step("push", wanted, seen, ""))
    if seen.leftovers or (seen.image and changed):
        steps.append(_sweep(seen))
    return Plan.of(steps)


def _content(wanted: ImageSpec, seen: Observation) -> list[Step]:
    if seen.source is None:
        if seen.image is None:
            hint = "give src or from_container to make it, load_path to load it, or let it be pulled"
            raise NotFound(f"there is no image {wanted.reference} that could be read", hint=hint)
        return _configure(wanted, seen)
    if seen.image is not None and seen.unchanged:
        return _configure(wanted, seen)
    return [_step(_step_for(wanted, seen.source), wanted, seen, _why(seen, seen.source, wanted))]


def _step_for(wanted: ImageSpec, source: Source) -> str:
    if source.kind == REGISTRY:
        return "pull"
    return "commit" if wanted.from_container else "load" if wanted.load_path else "import"


def _configure(wanted: ImageSpec, seen: Observation) -> list[Step]:
    """The same layers with another configuration: nothing is unpacked."""
    before = seen.image.config if seen.image else None
    changes = differences(before, overlay(seen.base, wanted.config))
    if wanted.is_made and seen.image is not None:
        said = (("author", seen.image.author, wanted.author), ("message", seen.image.comment, wanted.message))
        changes += [f"{name} {_show(old)} → {_show(new)}" for name, old, new in said if old != new]
    return [_step("configure", wanted, seen, ", ".join(changes))] if changes else []


def differences(before: Optional[ImageConfig], after: ImageConfig) -> list[str]:
    """Each field that differs, with its old and its new value."""
    names = [field.name for field in fields(ImageConfig)]
    pairs = [(name, getattr(before, name, None), getattr(after, name)) for name in names]
    return [f"{name} {_show(old)} → {_show(new)}" for name, old, new in pairs if old != new]


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(value) or "none"
    if isinstance(value, dict):
        # Variables may be secrets: names are enough for a person to find the line.
        return ",".join(sorted(value)) or "none"
    return str(value or "none")


def _why(seen: Observation, source: Source, wanted: ImageSpec) -> str:
    origin = f"the container {wanted.from_container}" if wanted.from_container else source.path
    if source.kind == REGISTRY and seen.image is not None:
        return f"{origin} is {short_id(source.digest)} now"
    if seen.damaged:
        return f"from {origin}, because what is there cannot be read"
    return f"from {origin}, which has changed" if seen.image else f"from {origin}"


def _step(name: str, wanted: ImageSpec, seen: Observation, reason: str) -> Step:
    return Step(name, str(wanted.reference), reason, detail=_detail(wanted, seen))


def _detail(wanted: ImageSpec, seen: Observation) -> dict[str, object]:
    return {"wanted": wanted, "seen": seen}


def _sweep(seen: Observation) -> Step:
    target = short_id(seen.image.id) if seen.image else "store"
    return Step("sweep", target, "what no image and no container needs")
