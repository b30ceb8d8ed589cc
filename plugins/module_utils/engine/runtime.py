# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's side of the runtime: the launcher process, what it is asked and what it answers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple, Optional, cast

from ..core.errors import MiniError, StepFailed
from ..core.paths import Paths
from ..linux.cgroups import monitors
from ..linux.seal import seal
from ..runtime.files import FILES, STAND_INS
from ..runtime.state import stamp
from . import program
from .answers import Answer, Meanwhile, nothing, talk
from .door import Visit, knock

_PROGRAM = program.Program("runtime/main.py", FILES, STAND_INS)
_MONITORED = ("start", "adopt")  # what leaves a monitor behind
AT_ONCE = 64  # containers that one request starts
_STANDARD = 3  # the first descriptor that is none of the standard streams

_NO_PROGRAM = {
    errno.ENOENT: "is not in the container",
    errno.EACCES: "is not executable",
    errno.ENOEXEC: "is not a program",
    errno.EISDIR: "is a directory",
}


class ExecResult(NamedTuple):
    """How a further process in a container ended."""

    rc: int
    stdout: bytes
    stderr: bytes


def installed(paths: Paths) -> str:
    """The directory of this version's runtime, written when it is not there yet."""
    return program.installed(paths, _PROGRAM)


class Front:
    """Where starts are asked for: at the door of the monitor that is at the front, else of a launcher.

    The monitor's child takes a while to be ready for a request. Who knows that there will be one calls it early.
    """

    def __init__(self, paths: Paths, hold: Sequence[int]) -> None:
        self._paths = paths
        self._hold = hold
        self._door = _door()
        self._path = os.path.join(paths.run_root, self._door)
        self._called: list[Optional[Visit]] = []

    def call(self) -> None:
        """Have somebody be there for the next request."""
        self._called.append(knock(self._path, self._hold))

    def send_away(self) -> None:
        """There will be no request for who has been called."""
        for visit in filter(None, self._called):
            visit.close()
        self._called = []

    def ask(self, verb: str, container_ids: Sequence[str], meanwhile: Meanwhile = nothing) -> list[Optional[MiniError]]:
        """Start or adopt; for each None or why not. The monitor that comes of a launcher will be at the front."""
        bundles = [self._paths.container(container_id) for container_id in container_ids]
        request = {"verb": verb, "bundles": bundles, "door": self._door}
        if not self._called:
            self.call()
        visit = self._called.pop()
        if visit:
            answer, _output = visit.ask({**request, "front": ""}, meanwhile)
        else:
            answer, _output = _launch(self._paths, {**request, "front": self._path}, self._hold, meanwhile)
        return [None if result is None else _error(result) for result in answer["results"]]


@contextlib.contextmanager
def front(paths: Paths, hold: Sequence[int]) -> Iterator[Optional[Front]]:
    """For starts that are near, None for none: somebody is called for them. See `start` for `hold`."""
    if not 0 < len(hold) <= AT_ONCE:
        yield None
        return
    found = Front(paths, hold)
    found.call()
    try:
        yield found
    finally:
        found.send_away()


def start(
    paths: Paths,
    container_ids: Sequence[str],
    hold: Sequence[int] = (),
    at: Optional[Front] = None,
    meanwhile: Meanwhile = nothing,
) -> list[Optional[MiniError]]:
    """Start containers whose bundles are written, all at once; for each None or why it did not start.

    A start goes on when we are killed. Locks whose descriptors are in `hold`, or in that of the front where somebody
    was called for it, are not free before it is over. What there is to do `meanwhile` is done while they start.
    """
    return (at or Front(paths, hold)).ask("start", container_ids, meanwhile)


def adopt(paths: Paths, container_ids: Sequence[str], hold: Sequence[int] = ()) -> list[Optional[MiniError]]:
    """Give new monitors to containers that run without one; for each None or why it has none."""
    return Front(paths, hold).ask("adopt", container_ids)


def execute(
    paths: Paths, container_id: str, process: dict[str, Any], stdin: Optional[bytes] = None, *, detach: bool = False
) -> ExecResult:
    """Run a process (an OCI `process` object) in a running container and wait for it, unless it is to go on alone."""
    request = {"verb": "exec", "bundle": paths.container(container_id), "process": process, "detach": detach}
    source = [] if stdin is None else [_as_file(stdin)]
    try:
        visit = knock(paths.run(container_id, _door()), source)
        answer, output = visit.ask(request) if visit else _launch(paths, request, source)
    finally:
        for fd in source:
            os.close(fd)
    if answer["failed"]:
        raise _error(answer["failed"])
    return ExecResult(answer["code"], *output)


def _door() -> str:
    """The name of the doors of monitors that are as a launcher of ours would be: code, interpreter and namespaces."""
    kinds = sorted(os.listdir("/proc/thread-self/ns"))
    namespaces = [os.readlink(f"/proc/thread-self/ns/{kind}") for kind in kinds if kind != "mnt"]
    same = [program.version(_PROGRAM), stamp(os.path.realpath(sys.executable)), *namespaces]
    return f"door.{hashlib.sha256(' '.join(same).encode()).hexdigest()[:16]}"


def _as_file(data: bytes) -> int:
    """A file in memory alone, open for reading: nobody has to feed it while somebody reads."""
    with os.fdopen(os.memfd_create("stdin"), "wb") as handle:
        handle.write(data)
        handle.flush()
        return os.open(f"/proc/self/fd/{handle.fileno()}", os.O_RDONLY | os.O_CLOEXEC)


def _launch(paths: Paths, request: dict[str, Any], hold: Sequence[int] = (), meanwhile: Meanwhile = nothing) -> Answer:
    """Run the launcher: its answer, and what came on its standard output and error.

    While its interpreter starts it is moved to where monitors are: that, too, takes the kernel a while.
    """
    executable = os.path.realpath(sys.executable)
    directory = installed(paths)
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    read_end, write_end = os.pipe()
    # A task whose standard streams are closed gets their numbers for its pipes, and the launcher needs those itself.
    passed = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STANDARD) for fd in (write_end, mounts, *hold)]
    request = {**request, "answer": passed[0], "mounts": passed[1], "hold": passed[2:]}
    with subprocess.Popen(
        [executable, "-I", "-S", os.path.join(directory, "__main__.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        preexec_fn=lambda: seal(executable),
        pass_fds=passed,
        start_new_session=True,
    ) as launcher:
        for fd in (write_end, mounts, *passed):
            os.close(fd)
        if request["verb"] in _MONITORED:
            monitors.move_in(launcher.pid)
        stdin, stdout, stderr = (cast(IO[bytes], pipe) for pipe in (launcher.stdin, launcher.stdout, launcher.stderr))

        def ask() -> None:
            _write(stdin, json.dumps(request).encode())
            meanwhile()

        try:
            return talk(request["verb"], ask, launcher.kill, read_end, stdout.fileno(), stderr.fileno())
        finally:
            os.close(read_end)


def _write(stdin: IO[bytes], request: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(request)


def _error(failed: dict[str, Any]) -> MiniError:
    """A failed step as a sentence."""
    step, number, path = failed["step"], failed["errno"], failed["path"]
    reason = failed["message"] or os.strerror(number)
    if step == "exec" and path and number in _NO_PROGRAM:
        text = _NO_PROGRAM[number]
        message = f"the command {path!r} {text}"
    elif failed["message"]:
        message = reason
    else:
        message = f"{step} failed: {reason}" + (f" ({path})" if path else "")
    return StepFailed(message, step=step, path=path or None, errno=number or None)
