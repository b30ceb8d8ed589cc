# SPDX-License-Identifier: GPL-3.0-or-later
"""A container's root directory as a command that is executed in it would see it, held by a descriptor.

A process of ours goes there and waits, and what it has as its working directory is taken from /proc. It joins the
mount namespace of a container that runs: not all of them have their first process at the root, which may have changed
its own. For one that does not run it makes a mount namespace and mounts there what the container would. Nothing of it
is seen by the host, and nothing is left when it ends. It does nothing there but wait, so that no file of the image is
ever taken for one of the host's.

Whoever has the descriptor must open all below it with `open_in_root`: what is there belongs to the container.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Callable, NamedTuple, NoReturn

from ...core.errors import Busy, StepFailed
from ...core.paths import Paths
from ...image.replica import opened
from ...linux import libc
from ...linux.cgroups.detect import Hierarchies
from ...linux.overlay import overlay_data
from ...linux.process import Process
from ...runtime import report, rootfs
from ...runtime.bundle import Bundle
from ...runtime.mounts import Mounter
from .living import live_process, restarting, settled
from .mounts import stored
from .record import ContainerRecord

_READY = b"\x06"


class Root(NamedTuple):
    """An O_PATH descriptor of the root; `first` is the id by which the container's root user is seen there."""

    fd: int
    first: int = 0


@contextlib.contextmanager
def root_of(paths: Paths, record: ContainerRecord, *, volumes: bool = True, read_only: bool = False) -> Iterator[Root]:
    """The root. The caller holds the container's lock.

    A running container is shown as it is. Of one that does not run, `volumes` leaves out what is mounted below the
    root, and `read_only` shows it without a trace of the looking.
    """
    found = settled(paths.run_state(record.id))
    init = live_process(found)
    if init is not None:
        with _sent(partial(_join, record, init)) as root:
            yield Root(root, record.userns)
        return
    if restarting(found):
        # Its monitor may mount the same layers at any moment, and two overlays cannot share one.
        raise Busy(f"container {record.name} is about to be started again", hint="stop it first, or wait until it runs")
    mounts = stored(paths, record, [paths.layer(chain_id) for chain_id in record.layers], read_only=read_only)
    config = {"root": {"path": "rootfs"}, "mounts": mounts if volumes else mounts[:1]}
    with _sent(partial(_mount, Bundle(paths.container(record.id), config))) as root:
        yield Root(root)


@contextlib.contextmanager
def root_of_layers(directory: str, layer_dirs: Sequence[str]) -> Iterator[int]:
    """An O_PATH descriptor of layers, bottom first, as one tree. `directory` is where they are mounted, in private."""
    if len(layer_dirs) == 1:  # nothing to lay over it, and overlayfs takes no single one
        with opened(os.open(layer_dirs[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            yield root
        return
    with mounted(directory, ["ro", overlay_data(layer_dirs)]) as root:
        yield root


@contextlib.contextmanager
def mounted(directory: str, options: list[str]) -> Iterator[int]:
    """The root of an overlay with these options, mounted at the directory in private. Its devices are inert."""
    overlay = {"destination": "/", "type": "overlay", "source": "overlay", "options": ["nodev", *options]}
    with _sent(partial(_mount, Bundle(directory, {"root": {"path": "."}, "mounts": [overlay]}))) as root:
        yield root


@contextlib.contextmanager
def _sent(go: Callable[[], None]) -> Iterator[int]:
    """A descriptor of the directory in which a process finds itself after `go`."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _stay(go, tell)
    os.close(tell)
    try:
        with opened(ready):
            answer = os.read(ready, 65536)
        if answer != _READY:
            failed = report.parse(answer)
            reason = failed.message or os.strerror(failed.errno)
            raise StepFailed(f"cannot look into the container: {reason}", step="mount", path=failed.path or None)
        with opened(os.open(f"/proc/{pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as root:
            yield root
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _stay(go: Callable[[], None], tell: int) -> NoReturn:
    try:
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        go()
        os.write(tell, _READY)
        while True:
            signal.pause()
    except BaseException as exc:
        with contextlib.suppress(OSError):
            report.send(tell, "mount", exc)
    finally:
        os._exit(1)


def _join(record: ContainerRecord, init: Process) -> None:
    """The root of a mount namespace is where setns(2) leads."""
    pidfd = init.open()
    if pidfd is None:
        raise report.StepError(f"{record.name} is just ending; run the task again")
    libc.setns(pidfd, libc.CLONE_NEWNS)


def _mount(bundle: Bundle) -> None:
    libc.unshare(libc.CLONE_NEWNS)
    root = rootfs.mount_root(bundle)
    mounter = Mounter(root, bundle, Hierarchies("", {}))
    for entry in bundle.mounts[1:]:
        try:
            mounter.mount_one(entry)
        except report.StepError as exc:
            # A root that is only looked at has no place for a mount whose target was never made.
            if not (exc.errno == errno.EROFS and "ro" in bundle.mounts[0]["options"]):
                raise
    os.fchdir(root)
