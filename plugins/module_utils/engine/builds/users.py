# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns what COPY and WORKDIR make: users of the image by name, or numbers."""

from __future__ import annotations

from ...core.errors import BadInput
from ...runtime.report import StepError
from ...runtime.users import resolve


def owner(root: int, text: str) -> tuple[int, int]:
    """User and group of `user`, `user:group`; root's for an empty text. A number alone is the group's, too."""
    if text.isascii() and text.isdigit():
        text = f"{text}:{text}"
    try:
        found = resolve(root, text)
    except StepError as exc:
        raise BadInput(str(exc.message)) from exc
    return found.uid, found.gid
