# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that a service manager hands on: sd_listen_fds(3)."""

from __future__ import annotations

import os
from typing import Any


def descriptors(process: dict[str, Any]) -> int:
    """How many there are, from 3 on. The container's process is told, as the first one of its pid namespace."""
    text = os.environ.get("LISTEN_FDS", "")
    if not text.isdigit() or int(text) == 0:
        return 0
    process["env"] = [*(process.get("env") or ()), f"LISTEN_FDS={text}", "LISTEN_PID=1"]
    if "LISTEN_FDNAMES" in os.environ:
        process["env"].append(f"LISTEN_FDNAMES={os.environ['LISTEN_FDNAMES']}")
    return int(text)
