# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a bundle has run on the way (config.md, "POSIX-platform Hooks").

Each gets the container's state on its standard input. This is written for a process whose root may be the image's
already: fork, descriptors, execve, and nothing that would be imported for it.
"""

from __future__ import annotations

import os
import select
import signal
from typing import Any

from ..linux import libc
from .report import StepError

MAX_OUTPUT = 4096


def run(kind: str, hooks: list[dict[str, Any]], state: bytes, home: str = "") -> None:
    """Run the hooks one after the other; `StepError` for the first that fails or takes too long.

    Those of the host run in the directory `home` and have our environment if the bundle gives them none. Those of
    the image get nothing of ours.
    """
    for hook in hooks:
        _run(kind, hook, state, home)


def _run(kind: str, hook: dict[str, Any], state: bytes, home: str) -> None:
    path = hook["path"]
    arguments = [os.fsencode(word) for word in hook.get("args") or [path]]
    environment = dict(os.fsencode(entry).partition(b"=")[::2] for entry in hook.get("env") or ())
    if home and hook.get("env") is None:
        environment = dict(os.environb)
    state_read, state_write = os.pipe()
    output_read, output_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(home, path, arguments, environment, (state_read, output_write, output_write))
    for fd in (state_read, output_write):
        os.close(fd)
    _feed(state_write, state)
    output, in_time = _output(pid, output_read, hook.get("timeout"))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not in_time:
        raise StepError(f"the {kind} hook {path} ran longer than its {hook['timeout']} s", path)
    if status:
        said = output.decode("utf-8", "replace").strip()
        raise StepError(f"the {kind} hook {path} ended with exit code {status}" + (f": {said}" if said else ""), path)


def _become(
    home: str, path: str, arguments: list[bytes], environment: dict[bytes, bytes], streams: tuple[int, int, int]
) -> None:
    try:
        if home:
            os.chdir(home)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        libc.close_range(3)
        # Not by default_action alone: Python itself ignores SIGPIPE.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execve(path, arguments, environment)
    except OSError as exc:
        os.write(2, os.strerror(exc.errno or 0).encode())
    finally:
        os._exit(127)


def _feed(fd: int, state: bytes) -> None:
    """A state fits into a pipe; a hook need not read it."""
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        os.write(fd, state)
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)
        signal.signal(signal.SIGPIPE, before)


def _output(pid: int, fd: int, timeout: int | None) -> tuple[bytes, bool]:
    """What the hook wrote first, once it has ended; and whether that was in time."""
    pidfd = libc.pidfd_open(pid)
    poller = select.poll()
    for one in (pidfd, fd):
        poller.register(one, select.POLLIN)
    found = b""
    in_time = True
    while True:
        ready = {one for one, _events in poller.poll(timeout * 1000 if timeout else None)}
        if not ready:
            in_time = False
            os.kill(pid, signal.SIGKILL)
        if fd in ready:
            chunk = os.read(fd, MAX_OUTPUT)
            found += chunk[: MAX_OUTPUT - len(found)]
            if not chunk:
                poller.unregister(fd)
        elif pidfd in ready or not ready:
            break
    os.close(pidfd)
    os.close(fd)
    return found, in_time
