# SPDX-License-Identifier: GPL-3.0-or-later
"""What every engine is asked to do, and what all are asked for: the same program under the same limits."""

from __future__ import annotations

from typing import Protocol

COMMAND = ("/bin/sleep", "1000")
EXEC = ("/bin/true",)
MEMORY = 64 * 1024 * 1024
PIDS = 64
FIRST_PORT = 20000


class Contestant(Protocol):
    """An engine. Containers are numbered, and the number makes their names and published ports different."""

    name: str

    def run(self, number: int) -> None:
        """Create and start."""

    def create(self, number: int) -> None:
        """Create only."""

    def start(self, number: int) -> None:
        """Start what was created."""

    def exec(self, number: int) -> None:
        """Run `true` in it and wait."""

    def remove(self, number: int) -> None:
        """Stop, at once, and remove."""


def title(number: int) -> str:
    """The container's name."""
    return f"bench{number}"


def port(number: int) -> str:
    """The host's port and the container's."""
    return f"{FIRST_PORT + number}:80"
