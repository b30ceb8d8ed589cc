# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors in a Containerfile say where: `Containerfile:12: …`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...core.errors import MiniError


@contextlib.contextmanager
def located(file: str, line: int) -> Iterator[None]:
    """Put the place before the message of an error, unless it is there already."""
    try:
        yield
    except MiniError as exc:
        if not exc.message.startswith(f"{file}:"):
            exc.message = f"{file}:{line}: {exc.message}"
        raise
