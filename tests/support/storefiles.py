# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image store has on the disk."""

from __future__ import annotations

import os


def kept(state_root: str) -> list[str]:
    """Every file but the two that a layout consists of."""
    return sorted(
        os.path.join(path, name)
        for path, _directories, names in os.walk(state_root)
        for name in names
        if name not in ("oci-layout", "index.json")
    )
