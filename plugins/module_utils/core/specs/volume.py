# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks for of a volume, and of what is mounted in a container, in canonical form.

These values are frozen, and compare equal when they mean the same. They are written into records, so their annotations
must be evaluable on Python 3.9 (`Optional[X]`, not `X | None`), and a new field needs a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VolumeSpec:
    """A volume: a directory that outlives the containers that use it."""

    name: str
    driver: str = "local"
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mount:
    """A bind mount (`source` is a path), a volume or an image (by its name), or a tmpfs (`options` are its own).

    A volume without a source is anonymous: it gets a name when the container is made. `labels` are those of a volume
    that is made on demand, `subpath` is a directory inside of it, and `no_copy` leaves it empty. `create` has the
    source of a bind mount made when it is missing. What is mounted below that comes along unless `non_recursive`, and
    with `read_only_non_recursive` can be written; with `read_only_force_recursive` a host that cannot prevent it is an
    error. Of the image of a container that was made, `image_id` and `layers` are known.
    """

    target: str
    source: str
    read_only: bool = False
    kind: str = "bind"
    propagation: str = "rprivate"
    options: tuple[str, ...] = ()
    no_copy: bool = False
    subpath: str = ""
    create: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    non_recursive: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False
    image_id: str = ""
    layers: tuple[str, ...] = ()

    def show(self) -> str:
        """As in `volumes`, `src:/dst:ro,rslave`, and what can be said in `mounts` alone."""
        words = ["ro"] if self.read_only else []
        words += [self.propagation] if self.propagation != "rprivate" else []
        words += [f"subpath={self.subpath}"] if self.subpath else []
        flags = ("no_copy", "create", "non_recursive", "read_only_non_recursive", "read_only_force_recursive")
        words += [name for name in flags if getattr(self, name)]
        words += [option for option in self.options if option != "ro"]
        words += [f"label {name}={value}" for name, value in self.labels.items()]
        return ":".join(filter(None, [self.source, self.target, ",".join(words)]))


@dataclass(frozen=True)
class Inherited:
    """Another container whose mounts a container has as well (`volumes_from`)."""

    container: str
    read_only: bool = False
