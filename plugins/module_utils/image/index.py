# SPDX-License-Identifier: GPL-3.0-or-later
"""An image index, which Docker calls a manifest list: one name, an image for each of several platforms."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ..core.errors import BadImage, NotFound
from . import media
from .document import Document, parse
from .manifest import Descriptor
from .platform import Platform, rank


class Offer(NamedTuple):
    """One entry. What is no image, such as an attestation, has the platform `unknown/unknown`, or none."""

    descriptor: Descriptor
    platform: Optional[Platform]

    @classmethod
    def read(cls, source: Document) -> Offer:
        platform = None
        if "platform" in source:
            found = source.child("platform")
            platform = Platform.of(found.text("os"), found.text("architecture"), found.text("variant", ""))
        return cls(Descriptor.read(source), platform)


def kind(raw: bytes, source: str, stated: str = "") -> str:
    """Whether `raw` is an index or a manifest, as its OCI media type.

    `stated` is the type by which it came. Two answers to that question are none: what one reader takes for an index
    another must not take for a manifest.
    """
    document = parse(raw, source)
    inside = document.text("mediaType", "")
    if inside and stated and inside != stated:
        raise BadImage(f"{source} calls itself {inside!r:.80} and came as {stated!r:.80}")
    said = media.as_oci(inside or stated)
    looks = [name for key, name in (("manifests", media.INDEX), ("layers", media.MANIFEST)) if key in document]
    if len(looks) == 1 and said in ("", looks[0]):
        return looks[0]
    if len(looks) == 2:
        raise BadImage(f"{source} is an index and a manifest at the same time")
    hint = "push the image again with a tool of this decade" if "schema1" in said or ".v1+" in said else None
    raise BadImage(f"{source} is no image, but of the type {said or 'that nobody knows'!r:.80}", hint=hint)


def offers(raw: bytes, source: str) -> list[Offer]:
    """What an index has."""
    return [Offer.read(item) for item in parse(raw, source).children("manifests")]


def choose(found: list[Offer], wanted: Platform, source: str) -> Descriptor:
    """The image for the platform. The only entry will do when it does not say what it is for."""
    ranked = [(rank(offer.platform, wanted), offer) for offer in found if offer.platform]
    serving = [(number, offer.descriptor) for number, offer in ranked if number is not None]
    if serving:
        return min(serving, key=lambda pair: pair[0])[1]
    if len(found) == 1 and found[0].platform is None:
        return found[0].descriptor
    named = sorted({str(offer.platform) for offer in found if offer.platform and offer.platform.os != "unknown"})
    raise NotFound(
        f"{source} has no image for {wanted}", hint=f"it has {', '.join(named[:20])}" if named else "it has none at all"
    )
