# SPDX-License-Identifier: GPL-3.0-or-later
"""All images of an archive or a layout, under the names that they have there.

Which names those are is remembered with each of them, so that an archive that has been loaded is not read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from ...core.errors import BadImage
from ...core.paths import Paths
from ...core.plan import Plan, Step
from ...image import contents, platform, workspace
from ...image.origin import ABSENT, LAYOUT, Source, decode
from ...image.reference import Reference, parse
from ...image.shelf import Shelf
from ...image.store import ImageStore, StoredImage
from . import source
from .removal import sweep


class Present(NamedTuple):
    """What a name means now, and whether that is what is at the source."""

    image: Optional[StoredImage] = None
    same: bool = False


@dataclass(frozen=True)
class Shipment:
    """What is to be loaded, and what there is of it."""

    source: Source
    names: tuple[Reference, ...] = ()
    present: Mapping[Reference, Present] = field(default_factory=dict)
    leftovers: bool = False

    @property
    def lacking(self) -> tuple[Reference, ...]:
        """The names that do not mean what they should."""
        return tuple(name for name in self.names if not self.present[name].same)


def observe(paths: Paths, path: str, *, presume: bool = False) -> Shipment:
    """With `presume` there need not be anything at `path`: check mode cannot have made it."""
    store = ImageStore(paths)
    looked = source.look_at_images(path, presume=presume)
    if looked.kind == ABSENT:
        return Shipment(looked)
    found = _known(store, looked)
    if found is None:
        digest = "" if looked.kind == LAYOUT else source.file_digest(path)
        found = looked._replace(digest=digest, names=" ".join(map(str, contents.names(path))))
    names = tuple(map(parse, found.names.split(" ")))
    present = {name: _present(store, name, found) for name in names}
    return Shipment(found, names, present, workspace.leftovers(paths))


def plan(seen: Shipment) -> Plan:
    """One pass over the source brings all that is lacking."""
    steps: list[Step] = []
    if seen.lacking or seen.source.kind == ABSENT:
        reason = ", ".join(map(str, seen.lacking)) or "it does not exist yet"
        steps.append(Step("load-all", seen.source.path, reason, detail={"shipment": seen}))
    if seen.leftovers or any(seen.present[name].image for name in seen.lacking):
        steps.append(sweep("store"))
    return Plan.of(steps)


def _origin_of(found: Source, name: Reference) -> Source:
    """Where the image of a name is from: that of a layout has a digest of its own."""
    if found.kind != LAYOUT:
        return found
    return found._replace(digest=Shelf(found.path).entry(name).digest, stamp=str(platform.host()))


def _known(store: ImageStore, found: Source) -> Optional[Source]:
    """An archive that has been loaded and has not been touched since."""
    if found.kind == LAYOUT:
        return None
    loaded = filter(None, map(decode, _sources(store.images())))
    same = (one for one in loaded if one.names and (one.path, one.stamp) == (found.path, found.stamp))
    return next(same, None)


def _sources(images: Iterable[StoredImage]) -> Iterable[str]:
    return (text for image in images for text in image.sources.values())


def _present(store: ImageStore, name: Reference, found: Source) -> Present:
    try:
        image = store.find(str(name))
    except BadImage:
        return Present()
    if image is None or store.missing_layers(image):
        return Present(image)
    before, now = decode(image.sources.get(str(name), "")), _origin_of(found, name)
    if before is None or (before.kind, before.path) != (now.kind, now.path):
        return Present(image)
    return Present(image, before.digest == now.digest)
