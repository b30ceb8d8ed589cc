# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the system's packet filter tools: no shell, a fixed search path, an empty environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from ..core.errors import HostLacks

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


def find(name: str, package: str) -> str:
    """The absolute path of a program of the system; `HostLacks` names the package that has it."""
    for directory in SEARCH_PATH.split(":"):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK):
            return path
    raise HostLacks(
        f"the program {name} is missing on this host",
        hint=f"install the package {package}, or apply the role mini_host",
    )


def run(arguments: Sequence[str], text: str = "") -> Finished:
    """Run a program to its end, with `text` as its input."""
    done = subprocess.run(
        list(arguments),
        input=text.encode(),
        capture_output=True,
        env={"PATH": SEARCH_PATH, "LC_ALL": "C"},
        cwd="/",
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
