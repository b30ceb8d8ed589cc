# SPDX-License-Identifier: GPL-3.0-or-later
"""Every error the engine raises on purpose.

::

    MiniError
    ├── BadInput        the task asks for something malformed or contradictory; nothing was touched
    ├── NotFound        an image, network or container that the task names does not exist
    │   └── ImageMissing   the image of a container, which may be pulled
    ├── Conflict        a name, port, subnet or address belongs to someone else, or is still in use
    ├── Busy            another process holds the object's lock
    ├── HostLacks       the kernel or the system has no facility that the task needs
    ├── BadImage        an archive or layout that cannot be trusted or read
    ├── RegistryFailed  a registry does not answer, or not as it should
    ├── CorruptRecord   a state file that cannot be read
    └── StepFailed      a step of the work failed; wraps the system's reason

A message is one sentence for a person: what, on what, why; `hint` is the way out. Programs read
`as_dict()`. Only the glue layer turns an error into a task result.
"""

from __future__ import annotations

import os
from typing import Any


class MiniError(Exception):
    """Base of the tree. `step`, `path` and `errno` locate the failure for programs."""

    kind = "error"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        step: str | None = None,
        path: str | None = None,
        errno: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.step = step
        self.path = path
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def as_dict(self) -> dict[str, Any]:
        """The machine-readable half of a task's failure."""
        return {"kind": self.kind, "step": self.step, "path": self.path, "errno": self.errno}


class BadInput(MiniError):
    """The task asks for something malformed or contradictory."""

    kind = "bad_input"


class NotFound(MiniError):
    """A named object does not exist."""

    kind = "not_found"


class ImageMissing(NotFound):
    """The image that a container is to be made of is not in the store."""


class Conflict(MiniError):
    """Something the task needs belongs to someone else, or is still in use."""

    kind = "conflict"


class Busy(MiniError):
    """Another process holds the lock of the object."""

    kind = "busy"


class HostLacks(MiniError):
    """The host has no facility that the task needs."""

    kind = "host_lacks"


class BadImage(MiniError):
    """Image data that cannot be trusted or read."""

    kind = "bad_image"


class RegistryFailed(MiniError):
    """A registry does not answer, or not as it should."""

    kind = "registry"


class CorruptRecord(MiniError):
    """A state file that cannot be read."""

    kind = "corrupt_record"


class StepFailed(MiniError):
    """A step of the work failed."""

    kind = "step_failed"

    @classmethod
    def from_os(cls, what: str, exc: OSError, *, step: str | None = None) -> StepFailed:
        """Say what was attempted when the system refused it: `what`, the path and the errno text."""
        path = exc.filename if isinstance(exc.filename, str) else None
        where = f" ({path})" if path else ""
        reason = exc.strerror or (os.strerror(exc.errno) if exc.errno else str(exc))
        return cls(f"cannot {what}: {reason}{where}", step=step, path=path, errno=exc.errno)
