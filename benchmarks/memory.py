# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of the process that watches a container: its proportional share of pages (PSS)."""

from __future__ import annotations

import contextlib
import os
import re
from collections import defaultdict
from pathlib import Path

KIB_PER_MB = 1024


def pss(pid: int) -> float:
    """Megabytes of one process: pages that it shares count in parts."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) / KIB_PER_MB if match else 0.0


def kinds(pid: int) -> dict[str, float]:
    """The same by what the pages are: of a file, of the heap, of the stack, or of no name."""
    found: dict[str, float] = defaultdict(float)
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split(maxsplit=5)
        if first == "Pss:":
            found[name] += int(rest[0]) / KIB_PER_MB
        elif not first.endswith(":"):
            name = os.path.basename(rest[4]) if len(rest) > 4 else "private pages"
    return found


def named(name: str) -> list[int]:
    """The processes with this name. The pid namespace holds only our own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        # The kernel keeps 15 characters of a name.
        with contextlib.suppress(OSError):
            if path.read_text().strip() == name[:15]:
                found.append(int(path.parent.name))
    return found
