# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's task says of its image besides the name. Pure."""

from __future__ import annotations

from typing import Optional

from ...core.errors import BadInput
from ...image import platform, reference
from ...image.store import StoredImage
from .compare import Wish
from .record import ContainerRecord


def renamed(before: str, after: str) -> bool:
    """Whether two names differ; an id says nothing of a name."""
    if any(reference.full_id(text) or reference.id_prefix(text) for text in (before, after)):
        return False
    return str(reference.parse(before)) != str(reference.parse(after))


def check_platform(wish: Wish, image: Optional[StoredImage]) -> None:
    """`platform` is not chosen here: the image in the store has to be of it."""
    if wish.platform and image and platform.rank(image.platform, wish.platform) is None:
        raise BadInput(
            f"platform: image {wish.spec.image} is for {image.platform}, not for {wish.platform}",
            hint="put an image for that platform into the store, or leave platform out",
        )


def check_labels(wish: Wish, image: Optional[StoredImage], record: Optional[ContainerRecord]) -> None:
    """With `image_label_mismatch: fail` every label of the image has to be among those of the task."""
    if not wish.refuse_image_labels:
        return
    current = record.image_config if record and wish.compare_current_image else None
    config = current or (image.config if image else None)
    unexpected = sorted(set(config.labels) - set(wish.spec.labels)) if config else []
    if unexpected:
        raise BadInput(
            f"image_label_mismatch: the image has labels that the task does not name: {', '.join(unexpected)}",
            hint="name them in labels, or leave image_label_mismatch out",
        )
