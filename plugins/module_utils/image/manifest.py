# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of the OCI image specification, as values: descriptor, manifest and image configuration.

::

    index.json ──▶ manifest ──┬──▶ configuration: what to run, and the digest of each layer's tar (`diff_ids`)
                              └──▶ layers: the tars, as they travel (perhaps compressed)

Named tuples, because Python makes a class of those nine times as fast as a dataclass, and every task loads this.

An image's id is the digest of its configuration, which fixes the content of every layer and how to run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.errors import BadImage
from ..core.specs.image import Healthcheck, ImageConfig
from . import media
from .document import Document, parse, serialise
from .platform import Platform

NO_NOTES: Mapping[str, str] = MappingProxyType({})
_HEALTH_NUMBERS = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
MAX_LAYERS = 500  # overlayfs stacks no more


class Descriptor(NamedTuple):
    """What a blob is, and which."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = NO_NOTES

    @classmethod
    def of(cls, media_type: str, content: bytes) -> Descriptor:
        return cls(media_type, sha256(content), len(content))

    @classmethod
    def read(cls, source: Document) -> Descriptor:
        return cls(
            source.text("mediaType"), source.digest("digest"), source.number("size"), source.table("annotations")
        )

    def plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**plain, "annotations": dict(self.annotations)} if self.annotations else plain


class Manifest(NamedTuple):
    """One image for one platform."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def read(cls, raw: bytes, source: str) -> Manifest:
        document = parse(raw, source)
        if "manifests" in document or media.as_oci(document.text("mediaType", media.MANIFEST)) != media.MANIFEST:
            raise BadImage(f"{source} is not an image manifest", hint="manifest lists and artifacts are not images")
        layers = tuple(Descriptor.read(layer) for layer in document.children("layers"))
        manifest = cls(Descriptor.read(document.child("config")), layers)
        if media.as_oci(manifest.config.media_type) != media.CONFIG:
            raise BadImage(f"{source}: the configuration has the unknown type {manifest.config.media_type!r}")
        for layer in manifest.layers:
            if media.as_oci(layer.media_type) not in media.LAYERS:
                raise BadImage(f"{source}: a layer has the unknown type {layer.media_type!r}")
        if len(manifest.layers) > MAX_LAYERS:
            raise BadImage(f"{source} has more than the {MAX_LAYERS} layers that can be stacked")
        return manifest

    def as_oci(self) -> Manifest:
        """The same with OCI types throughout."""
        config, *layers = (one._replace(media_type=media.as_oci(one.media_type)) for one in (self.config, *self.layers))
        return Manifest(config, tuple(layers))

    def encode(self) -> bytes:
        return serialise(
            {
                "schemaVersion": 2,
                "mediaType": media.MANIFEST,
                "config": self.config.plain(),
                "layers": [layer.plain() for layer in self.layers],
            }
        )


class History(NamedTuple):
    """How a layer came to be, for people. `empty_layer`: it was only the configuration that changed."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    @classmethod
    def read(cls, source: Document) -> History:
        created, by, author, comment = (source.text(key, "") for key in cls._fields[:4])
        return cls(created, by, author, comment, source.flag("empty_layer"))

    def plain(self) -> dict[str, Any]:
        return {key: value for key, value in self._asdict().items() if value}


class ImageDocument(NamedTuple):
    """The image configuration: platform, layers by content, and what a container inherits."""

    architecture: str
    os: str
    created: str
    config: ImageConfig
    diff_ids: tuple[str, ...]
    history: tuple[History, ...] = ()
    author: str = ""
    variant: str = ""

    @classmethod
    def read(cls, raw: bytes, source: str) -> ImageDocument:
        document = parse(raw, source)
        rootfs = document.child("rootfs")
        if rootfs.text("type", "") != "layers":
            raise BadImage(f"{source}: the root file system is not made of layers")
        return cls(
            document.text("architecture"),
            document.text("os"),
            document.text("created", ""),
            _read_config(document.child("config")),
            tuple(check_digest(digest, source) for digest in rootfs.texts("diff_ids")),
            tuple(History.read(item) for item in document.children("history")),
            document.text("author", ""),
            document.text("variant", ""),
        )

    @property
    def platform(self) -> Platform:
        return Platform.of(self.os, self.architecture, self.variant)

    def encode(self) -> bytes:
        plain = {
            "architecture": self.architecture,
            "os": self.os,
            "config": plain_config(self.config),
            "rootfs": {"type": "layers", "diff_ids": list(self.diff_ids)},
            "history": [item.plain() for item in self.history],
        }
        given = {"created": self.created, "author": self.author, "variant": self.variant}
        return serialise({**plain, **{key: value for key, value in given.items() if value}})


def _read_config(config: Document) -> ImageConfig:
    pairs = [entry.partition("=") for entry in config.texts("Env")]
    return ImageConfig(
        command=config.texts("Cmd") if "Cmd" in config else None,
        entrypoint=config.texts("Entrypoint") if "Entrypoint" in config else None,
        # An entry without "=" would mean "take it from the engine's own environment" to some engines: dropped.
        env={name: value for name, equals, value in pairs if name and equals},
        working_dir=config.text("WorkingDir", ""),
        user=config.text("User", ""),
        labels=config.table("Labels"),
        exposed_ports=config.names("ExposedPorts"),
        volumes=config.names("Volumes"),
        stop_signal=config.text("StopSignal", ""),
        healthcheck=_read_healthcheck(config.child("Healthcheck")) if "Healthcheck" in config else None,
        shell=config.texts("Shell"),
        on_build=config.texts("OnBuild"),
    )


def _read_healthcheck(found: Document) -> Healthcheck:
    """Docker's addition to the OCI configuration: times are nanoseconds."""
    numbers = [found.number(key) if key in found else 0 for key in _HEALTH_NUMBERS]
    return Healthcheck(found.texts("Test"), *numbers)


def _plain_healthcheck(check: Healthcheck) -> dict[str, Any]:
    numbers = (check.interval, check.timeout, check.start_period, check.start_interval, check.retries)
    found = {key: number for key, number in zip(_HEALTH_NUMBERS, numbers) if number}
    return {**({"Test": list(check.test)} if check.test else {}), **found}


def plain_config(config: ImageConfig) -> dict[str, Any]:
    """The specification's spelling of a configuration; what is not given is left out."""
    spelled: dict[str, Any] = {
        "Cmd": None if config.command is None else list(config.command),
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "Env": [f"{name}={value}" for name, value in sorted(config.env.items())] or None,
        "WorkingDir": config.working_dir or None,
        "User": config.user or None,
        "Labels": dict(config.labels) or None,
        "ExposedPorts": {port: {} for port in config.exposed_ports} or None,
        "Volumes": {path: {} for path in config.volumes} or None,
        "StopSignal": config.stop_signal or None,
        "Healthcheck": _plain_healthcheck(config.healthcheck) if config.healthcheck else None,
        "Shell": list(config.shell) or None,
        "OnBuild": list(config.on_build) or None,
    }
    return {key: value for key, value in spelled.items() if value is not None}


def sha256(content: bytes) -> str:
    """A digest as the specification writes it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def check_digest(text: str, source: str) -> str:
    """A digest that is safe as a file name."""
    return Document({"digest": text}, source).digest("digest")


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The id of each layer together with all below it, bottom to top: what an unpacked layer is filed under."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(sha256(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
