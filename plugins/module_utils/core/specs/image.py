# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image says of the containers that are made of it, in canonical form.

These values are frozen, and compare equal when they mean the same. They are written into records, so their annotations
must be evaluable on Python 3.9 (`Optional[X]`, not `X | None`), and a new field needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional


@dataclass(frozen=True)
class Healthcheck:
    """A health check as Docker writes it: `test` begins with NONE, CMD or CMD-SHELL, times are nanoseconds.

    Empty and 0 mean "not given".
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    def show(self) -> str:
        """`CMD-SHELL true, interval 1.5s, retries 2`."""
        times = ("interval", "timeout", "start_period", "start_interval")
        given = [f"{name} {getattr(self, name) / 10**9:g}s" for name in times if getattr(self, name)]
        return ", ".join([" ".join(self.test), *given, *([f"retries {self.retries}"] if self.retries else [])])


@dataclass(frozen=True)
class ImageConfig:
    """The part of an OCI image's config that a container inherits. `None` and empty mean "not given"."""

    command: Optional[tuple[str, ...]] = None
    entrypoint: Optional[tuple[str, ...]] = None
    env: dict[str, str] = field(default_factory=dict)
    working_dir: str = ""
    user: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    healthcheck: Optional[Healthcheck] = None
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
