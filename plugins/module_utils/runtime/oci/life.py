# SPDX-License-Identifier: GPL-3.0-or-later
"""From a bundle to a running container, in the specification's two operations (runtime.md, "Lifecycle").

There is no monitor here: whoever calls has the streams, and is told of the end by being the process's subreaper.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import select
import signal
from collections.abc import Iterator
from typing import Any

from ...core.errors import Conflict, MiniError, StepFailed
from ...linux import libc, userns
from ...linux.cgroups import further
from ...linux.cgroups.detect import hierarchies, open_cgroup
from .. import console, filters, hooks, init, marks, report, spawn, state
from .. import exec as executor
from ..bundle import USERS, Bundle
from ..report import Report, StepError
from . import activation, config, ending, listener
from .store import CREATED, CREATING, FIFO, RUNNING, STATE, Container, find

FILTERS = ".seccomp"
NOT_PASSED_ON = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGURG, signal.SIGPIPE}


def create(options: argparse.Namespace) -> None:
    """Everything but the program."""
    _create(options)


def start(options: argparse.Namespace) -> None:
    """Let the program run."""
    _start(find(options.root, options.id))


def run(options: argparse.Namespace) -> int:
    """Both. In the foreground until the program's end; its exit code."""
    ours = -1
    terminal = config.load(options).process.get("terminal")
    if terminal and not options.console_socket:
        if options.detach:
            raise Conflict("a terminal has to go somewhere", hint="give --console-socket, or do without --detach")
        ours, options.console_fd = console.pair()
    container = _create(options)
    try:
        _start(container)
        if options.detach:
            return 0
        process = container.process
        return foreground(process.pid if process else 0, ours)
    finally:
        if not options.detach and not options.keep and os.path.exists(container.path(STATE)):
            ending.remove(container, force=True)


def foreground(pid: int, socket: int) -> int:
    """Stand for a child until it ends: signals go on to it, and what is typed and shown goes through."""
    pidfd = libc.pidfd_open(pid)
    for number in signal.valid_signals() - {
        signal.SIGCHLD,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGURG,
        signal.SIGPIPE,
    }:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, lambda got, _frame: _pass_on(pidfd, got))
    if socket >= 0:
        master = console.receive(socket)
        with console.RawMode(master):
            console.Relay(master, 0, 1).until(pidfd)
    return executor.wait(pid)


def _pass_on(pidfd: int, number: int) -> None:
    with contextlib.suppress(OSError):
        libc.pidfd_send_signal(pidfd, number)


def _create(options: argparse.Namespace) -> Container:
    bundle = config.load(options)
    container = Container(options.root, options.id)
    container.reserve()
    try:
        _refuse_shared(bundle)
        container.remember(bundle, bundle.config["ociVersion"])
        _bring_up(container, bundle, options)
    except BaseException:
        with contextlib.suppress(Exception):
            ending.remove(container, force=True)
        container.forget()
        raise
    return container


def _refuse_shared(bundle: Bundle) -> None:
    """A cgroup is a container's own: whatever is in it ends with the container."""
    if open_cgroup(bundle.cgroup_path).processes():
        raise Conflict(f"there are processes in the cgroup {bundle.cgroup_path} already", hint="give another one")


def _bring_up(container: Container, bundle: Bundle, options: argparse.Namespace) -> None:
    """The first process, ready and waiting."""
    filter_ = filters.wanted(bundle, filters.place(bundle, os.path.join(options.root, FILTERS)))
    groups = hierarchies()
    cgroup = open_cgroup(bundle.cgroup_path, groups)
    _make_users(bundle)
    child = init.Child(bundle, filter_, groups, cgroup.join_files())
    child.preserved = options.preserve_fds + activation.descriptors(bundle.process)
    child.use_pivot = not options.no_pivot
    child.use_keyring = not options.no_new_keyring
    child.console_fd = _console(bundle, options)
    os.mkfifo(container.path(FIFO), 0o600)
    # Open for both: as long as nobody writes, a read waits, whoever comes and goes.
    child.start_fd = os.open(container.path(FIFO), os.O_RDWR | os.O_CLOEXEC)
    child.hook_state = container.told(CREATING)
    further.refuse_unknown(bundle.resources)
    cgroup.create(bundle.resources)
    further.write(cgroup, bundle.resources)
    birth = spawn.spawn(child)
    os.close(child.start_fd)
    container.write(status=CREATING, init=state.describe(birth.pid))
    for kind, told in _outside(bundle, birth):
        hooks.run(kind, told, json.dumps(container.told(CREATING)).encode(), bundle.directory)
    if filter_ and filter_.listens:
        _insist(birth.expect(marks.LISTENER))
        listener.hand_over(bundle, container.told(CREATING), birth.pid, birth.take_listener())
        birth.let_go()
    _insist(birth.expect(marks.READY))
    container.write(status=CREATED)
    if options.pid_file:
        write_pid(options.pid_file, birth.pid)
    birth.let_go()
    _insist(birth.problem())


def _make_users(bundle: Bundle) -> None:
    """New user namespaces, made from outside, where all maps are allowed: the container's, which is joined like any
    other, and those that say whose the files of a mount are."""
    for mount in bundle.mounts:
        if mount.get("uidMappings"):
            mount[USERS] = _users(mount)
    for entry in bundle.linux.get("namespaces") or ():
        if entry["type"] == "user" and not entry.get("path"):
            entry["path"] = f"/proc/self/fd/{_users(bundle.linux)}"


def _users(mapped: dict[str, Any]) -> int:
    """A user namespace of these mappings."""
    maps = [mapped[name] for name in ("uidMappings", "gidMappings")]
    for found in maps:
        found.sort(key=lambda line: int(line["containerID"]))
    return userns.open_new(
        *("\n".join(f"{one['containerID']} {one['hostID']} {one['size']}" for one in found) for found in maps)
    )


def _console(bundle: Bundle, options: argparse.Namespace) -> int:
    """The socket that the terminal's master goes to."""
    if not bundle.process.get("terminal"):
        if options.console_socket:
            raise Conflict("--console-socket is for a process with a terminal", hint="process.terminal is false")
        return -1
    if options.console_socket:
        return console.connect(options.console_socket)
    given: int = getattr(options, "console_fd", -1)
    if given < 0:
        raise Conflict("a terminal has to go somewhere", hint="give --console-socket")
    return given


def _outside(bundle: Bundle, birth: spawn.Birth) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """The hooks to run while the child waits for it."""
    wanted = [(kind, bundle.hooks[kind]) for kind in init.HOOKS_OUTSIDE if bundle.hooks.get(kind)]
    if wanted:
        _insist(birth.expect(marks.HOOKS))
        yield from wanted
        birth.let_go()


def _start(container: Container) -> None:
    status = container.status()
    if status != CREATED:
        raise Conflict(f"cannot start a container that is {status}: {container.id}")
    ends = [os.open(container.path(FIFO), flag | os.O_NONBLOCK | os.O_CLOEXEC) for flag in (os.O_RDONLY, os.O_WRONLY)]
    os.unlink(container.path(FIFO))
    container.write(status=RUNNING)
    _insist(_let_run(*ends))
    bundle = container.bundle
    try:
        told = json.dumps(container.told(RUNNING)).encode()
        hooks.run("poststart", bundle.hooks.get("poststart") or [], told, bundle.directory)
    except StepError:
        ending.remove(container, force=True)
        raise


def _let_run(reader: int, writer: int) -> Report | None:
    """Say "go" and wait until the process has closed its end, by its exec; what it says before is what failed."""
    os.write(writer, marks.GO)
    os.close(writer)
    poller = select.poll()
    poller.register(reader, 0)  # not for what is there to be read, which is the word "go" at first
    poller.poll()
    said = os.read(reader, 65536)
    os.close(reader)
    if said == marks.GO:
        return Report("start", 0, "", "the process was ended before its program ran")
    return report.parse(said) if said else None


def write_pid(path: str, pid: int) -> None:
    """Whole or not at all: somebody may be waiting for it."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory or ".", f".{name}")
    try:
        with open(temporary, "w", encoding="ascii") as handle:
            handle.write(str(pid))
        os.rename(temporary, path)
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, path) from exc


def _insist(failed: Report | None) -> None:
    if failed:
        raise failure(failed)


def failure(failed: Report) -> MiniError:
    """A failed step in runc's words where engines look for them: 127 and 126 are made of these sentences."""
    reason = failed.message or os.strerror(failed.errno)
    if failed.step == "exec" and failed.path:
        name = json.dumps(failed.path)
        if failed.errno == errno.ENOENT and "/" not in failed.path:
            reason = f"exec: {name}: executable file not found in $PATH"
        elif failed.errno == errno.ENOENT:
            reason = f"exec: {name}: stat {failed.path}: no such file or directory"
        else:
            reason = f"exec: {name}: {os.strerror(failed.errno).lower()}"
    elif failed.path and failed.path not in reason:
        reason += f" ({failed.path})"
    return StepFailed(f"container init failed at {failed.step}: {reason}", step=failed.step, errno=failed.errno or None)
