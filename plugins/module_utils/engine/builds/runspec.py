# SPDX-License-Identifier: GPL-3.0-or-later
"""The container that a RUN gets: its specification, and what is mounted in it, made ready and taken away again."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Callable, Optional

from ...core.errors import BadInput
from ...core.paths import Paths
from ...core.specs.container import ContainerSpec, Secret
from ...core.specs.image import ImageConfig
from ...core.specs.network import Attachment
from ...core.specs.volume import Mount, VolumeSpec
from ...core.units import parse_extent
from ...image.replica import opened
from ...image.workspace import Workspace
from ...linux.files import locked
from ..volumes import use
from ..volumes.record import OF_BUILDS
from . import names
from .copy import ROOT
from .copying import Copier, Dress
from .sources import Tree
from .spec import HOST, NONE, BuildSpec
from .works import Origin, Run, RunMount
from .workshop import directory

SCRIPT = "/dev/pipes"
_CACHE_WAIT = 3600.0
Open = Callable[[Origin], AbstractContextManager[Tree]]


class Room:
    """What one RUN finds around it."""

    def __init__(
        self, paths: Paths, wanted: BuildSpec, work: Run, space: Workspace, tree: Open, network: Callable[[], str]
    ) -> None:
        self._paths = paths
        self._wanted = wanted
        self._work = work
        self._space = space
        self._tree = tree
        self._own_network = network

    @property
    def config(self) -> ImageConfig:
        """That of the stage. What is declared to be a volume is none yet, and nothing is waited for."""
        return replace(self._work.config, volumes=(), healthcheck=None, exposed_ports=())

    @contextmanager
    def ready(self) -> Iterator[tuple[ContainerSpec, Mapping[str, bytes]]]:
        """The specification and the contents of its secrets."""
        with ExitStack() as stack:
            mounts = [self._mount(one, stack) for one in self._work.mounts if one.kind != "secret"]
            secrets, contents = self._secrets()
            command = self._work.command
            if self._work.script:
                mounts.append(self._script())
                command = (*command, f"{SCRIPT}/script")
            attachments, mode = self._network()
            yield (
                ContainerSpec(
                    name=names.container(str(self._wanted.reference)),
                    image=str(self._wanted.reference),
                    command=command,
                    entrypoint=(),
                    env={**self._work.env, **self._work.hidden},
                    hostname="build",
                    mounts=tuple(sorted(mounts, key=lambda mount: mount.target)),
                    secrets=tuple(secrets),
                    labels={OF_BUILDS: str(self._wanted.reference)},
                    networks=attachments,
                    network_mode=mode,
                    etc_hosts=dict(self._wanted.etc_hosts),
                    shm_size=self._wanted.shm_size,
                    stop_timeout=0,
                ),
                contents,
            )

    def _network(self) -> tuple[tuple[Attachment, ...], str]:
        asked = {"default": ""}.get(self._work.network, self._work.network) or self._wanted.network
        if asked == NONE:
            return (), ""
        if asked == HOST:
            return (), HOST
        return (Attachment(asked or self._own_network()),), ""

    def _mount(self, wanted: RunMount, stack: ExitStack) -> Mount:
        if wanted.kind == "cache":
            return self._cache(wanted, stack)
        return self._bind(wanted) if wanted.kind == "bind" else _tmpfs(wanted)

    def _cache(self, wanted: RunMount, stack: ExitStack) -> Mount:
        """A cache is a volume: it is seen, and removed, as any other."""
        name = "build-cache-" + hashlib.sha256(wanted.options.get("id", wanted.target).encode()).hexdigest()[:12]
        if wanted.options.get("sharing", "shared") != "shared":
            stack.enter_context(locked(self._paths.lock("cache", name), f"the cache {wanted.target}", _CACHE_WAIT))
        labels = {OF_BUILDS: wanted.options.get("id", wanted.target)}
        use.make(self._paths, VolumeSpec(name, labels=labels))
        if use.is_empty(self._paths, name):
            place = self._paths.volume_data(name)
            os.chown(place, int(wanted.options.get("uid", "0")), int(wanted.options.get("gid", "0")))
            os.chmod(place, int(wanted.options.get("mode", "0755"), 8))
        read_only = bool({"ro", "readonly"} & set(wanted.options))
        return Mount(wanted.target, name, read_only=read_only, kind="volume", no_copy=True, labels=labels)

    def _bind(self, wanted: RunMount) -> Mount:
        """A copy of its own: what is ignored is not in it, and what is written to it is lost, as in Docker."""
        place = directory(self._space)
        with self._tree(wanted.origin) as tree, opened(os.open(place, os.O_PATH | os.O_DIRECTORY)) as root:
            found = tree.find(wanted.source or "/")
            if len(found) != 1:
                raise BadInput(f"--mount: source={wanted.source} is not one file or directory")
            copier = Copier(root, Dress(None if tree.owned else ROOT, trusted=tree.owned))
            copier.copy(tree, found[0], "/bound")
            copier.finish()
        writable = bool({"rw", "readwrite"} & set(wanted.options))
        return Mount(wanted.target, os.path.join(place, "bound"), read_only=not writable)

    def _script(self) -> Mount:
        place = directory(self._space)
        path = os.path.join(place, "script")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(self._work.script)
        os.chmod(path, 0o755)
        return Mount(SCRIPT, place, read_only=True)

    def _secrets(self) -> tuple[list[Secret], dict[str, bytes]]:
        """Secrets that are not given are not there, unless the instruction says that they have to be."""
        secrets, contents = [], {}
        for number, mount in enumerate(one for one in self._work.mounts if one.kind == "secret"):
            known = mount.options.get("id") or posixpath.basename(mount.target)
            content: Optional[bytes] = self._wanted.secrets.get(known)
            if content is None and mount.options.get("required") in ("true", "1"):
                raise BadInput(f"the secret {known} is required, and not given", hint="give it in secrets")
            if content is not None:
                name = f"secret{number}"
                uid, gid = (int(mount.options.get(which, "0")) for which in ("uid", "gid"))
                mode = int(mount.options.get("mode", "0400"), 8)
                secrets.append(Secret(name, mount.target, "", uid, gid, mode))
                contents[name] = content
        return secrets, contents


def _tmpfs(wanted: RunMount) -> Mount:
    size = wanted.options.get("size")
    limit = [f"size={parse_extent('size', size)}"] if size else []
    return Mount(wanted.target, "", kind="tmpfs", options=("exec", "mode=1777", *limit))
