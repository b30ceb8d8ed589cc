# SPDX-License-Identifier: GPL-3.0-or-later
"""The images that a build stands on: found, or pulled as mini_image would."""

from __future__ import annotations

from typing import Callable, Optional

from ...core.errors import NotFound
from ...core.paths import Paths
from ...core.plan import Observer, Plan
from ...image import platform as platforms
from ...image.platform import Platform
from ...image.reference import Reference, full_id, parse
from ...image.store import ImageStore, StoredImage
from ..images.converge import ensure
from ..images.observe import Connect
from ..images.spec import ALWAYS, MISSING, ImageSpec

Registry = Callable[[Reference], Connect]


class Bases:
    """The images of one build. `plan` is what was, or in check mode would be, done to have them."""

    def __init__(self, paths: Paths, registry: Registry, *, pull: bool, check: bool, observer: Observer) -> None:
        self.plan = Plan()
        self.ids: set[str] = set()
        self._paths = paths
        self._store = ImageStore(paths)
        self._registry = registry
        self._pull = ALWAYS if pull else MISSING
        self._check = check
        self._observer = observer
        self._known: dict[tuple[str, Optional[Platform]], Optional[StoredImage]] = {}

    def find(self, name: str, platform: Optional[Platform]) -> Optional[StoredImage]:
        """The image of a name, or of an id; None in check mode for one that would be pulled."""
        if (name, platform) not in self._known:
            image = self._there(name, platform)
            if image is None:
                self._fetch(name, platform)
                image = self._there(name, platform, fetched=True)
                if image is None and not self._check:
                    raise NotFound(f"the image {name} has left again", hint="run the task again")
            self._known[name, platform] = image
            self.ids.update([image.id] if image else ())
        return self._known[name, platform]

    def _there(self, name: str, platform: Optional[Platform], *, fetched: bool = False) -> Optional[StoredImage]:
        image = self._store.find(name)
        if image is None or (self._pull == ALWAYS and not fetched and not full_id(name)):
            return None
        serves = platform is None or platforms.rank(image.platform, platform) is not None
        return image if serves and not self._store.missing_layers(image) else None

    def _fetch(self, name: str, platform: Optional[Platform]) -> None:
        reference = parse(name)
        wanted = ImageSpec(reference, pull=self._pull, platform=platform)
        connect = self._registry(reference)
        self.plan += ensure(self._paths, wanted, connect=connect, check=self._check, observer=self._observer).plan
