# SPDX-License-Identifier: GPL-3.0-or-later
"""What AppArmor says of itself (Documentation/admin-guide/LSM/apparmor.rst). A process's own profile is in procfs."""

from __future__ import annotations

import os
from typing import Optional

SYS = "/sys"


def enabled(sys: str = SYS) -> bool:
    """Whether the kernel has it, and it is on."""
    try:
        with open(os.path.join(sys, "module/apparmor/parameters/enabled"), encoding="ascii") as handle:
            return handle.read(1) == "Y"
    except OSError:
        return False


def profiles(sys: str = SYS) -> Optional[frozenset[str]]:
    """The names of the profiles that are loaded; None when the kernel does not show them (securityfs)."""
    try:
        with open(os.path.join(sys, "kernel/security/apparmor/profiles"), encoding="utf-8") as handle:
            # "docker-default (enforce)"; a name may have spaces, and parentheses, too
            return frozenset(line.rpartition(" (")[0] for line in handle)
    except OSError:
        return None
