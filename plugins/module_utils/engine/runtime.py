# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's side of the runtime: the launcher process, what it is asked and what it answers."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Any, Callable, NamedTuple, Optional, cast

from ..core.errors import MiniError, StepFailed
from ..core.paths import Paths
from ..linux.cgroups import monitors
from ..linux.seal import seal
from ..runtime import report
from ..runtime.files import FILES, STAND_INS
from ..runtime.state import stamp
from . import door, program

_PROGRAM = program.Program("runtime/main.py", FILES, STAND_INS)
_MONITORED = ("start", "adopt")  # what leaves a monitor behind
_STANDARD = 3  # the first descriptor that is none of the standard streams
_PIPE = 2**20  # no pipe of an ordinary process holds more: fs.pipe-max-size, pipe(7)

_NO_PROGRAM = {
    errno.ENOENT: "is not in the container",
    errno.EACCES: "is not executable",
    errno.ENOEXEC: "is not a program",
    errno.EISDIR: "is a directory",
}


_Answer = tuple[dict[str, Any], tuple[bytes, bytes]]
"""What the runtime says, and what came on standard output and error."""


class ExecResult(NamedTuple):
    """How a further process in a container ended."""

    rc: int
    stdout: bytes
    stderr: bytes


def installed(paths: Paths) -> str:
    """The directory of this version's runtime, written when it is not there yet."""
    return program.installed(paths, _PROGRAM)


def start(paths: Paths, container_ids: Sequence[str], hold: Sequence[int] = ()) -> list[Optional[MiniError]]:
    """Start containers whose bundles are written, all by one launcher; for each None or why it did not start.

    A start goes on when we are killed. Locks whose descriptors are in `hold` are not free before it is over.
    """
    return _each("start", paths, container_ids, hold)


def adopt(paths: Paths, container_ids: Sequence[str], hold: Sequence[int] = ()) -> list[Optional[MiniError]]:
    """Give new monitors to containers that run without one; for each None or why it has none."""
    return _each("adopt", paths, container_ids, hold)


def _each(verb: str, paths: Paths, container_ids: Sequence[str], hold: Sequence[int]) -> list[Optional[MiniError]]:
    """By a child of the monitor that is at the front, if there is one; else by a launcher, whose monitor will be."""
    front = os.path.join(paths.run_root, _door())
    bundles = [paths.container(container_id) for container_id in container_ids]
    request = {"verb": verb, "bundles": bundles, "door": _door()}
    answer, _output = _ask(front, {**request, "front": ""}, hold) or _launch(paths, {**request, "front": front}, hold)
    return [None if result is None else _error(result) for result in answer["results"]]


def execute(
    paths: Paths, container_id: str, process: dict[str, Any], stdin: Optional[bytes] = None, *, detach: bool = False
) -> ExecResult:
    """Run a process (an OCI `process` object) in a running container and wait for it, unless it is to go on alone."""
    request = {"verb": "exec", "bundle": paths.container(container_id), "process": process, "detach": detach}
    source = [] if stdin is None else [_as_file(stdin)]
    try:
        answer, output = _ask(paths.run(container_id, _door()), request, source) or _launch(paths, request, source)
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


def _ask(path: str, request: dict[str, Any], hold: Sequence[int]) -> Optional[_Answer]:
    """Have a child of the monitor whose door is at `path` do it: what a launcher would answer, None without one."""
    with contextlib.ExitStack() as reading:
        with contextlib.ExitStack() as writing:
            pipes = [os.pipe() for _what in ("standard output", "standard error", "answer")]
            for read_end, write_end in pipes:
                reading.callback(os.close, read_end)
                writing.callback(os.close, write_end)
            connection = door.knock(path, [*(write_end for _read_end, write_end in pipes), *hold])
        if connection is None:
            return None
        stdout, stderr, answers = (read_end for read_end, _write_end in pipes)
        raw = json.dumps(request).encode()
        with connection:
            return _talk(lambda: door.ask(connection, raw), connection.close, request["verb"], answers, stdout, stderr)


def _as_file(data: bytes) -> int:
    """A file in memory alone, open for reading: nobody has to feed it while somebody reads."""
    with os.fdopen(os.memfd_create("stdin"), "wb") as handle:
        handle.write(data)
        handle.flush()
        return os.open(f"/proc/self/fd/{handle.fileno()}", os.O_RDONLY | os.O_CLOEXEC)


def _launch(paths: Paths, request: dict[str, Any], hold: Sequence[int] = ()) -> _Answer:
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
        raw = json.dumps(request).encode()
        try:
            return _talk(
                lambda: _write(stdin, raw), launcher.kill, request["verb"], read_end, stdout.fileno(), stderr.fileno()
            )
        finally:
            os.close(read_end)


def _write(stdin: IO[bytes], request: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), stdin:
        stdin.write(request)


def _talk(ask: Callable[[], object], stop: Callable[[], object], verb: str, answers: int, *outputs: int) -> _Answer:
    """Hand over the request; what comes on the descriptors for the answer, standard output and standard error.

    When we are interrupted (Ctrl-C), a start that is under way is over before we go on: only then can it be taken back.
    """
    try:
        ask()
        raw, output, errors = _read_answer(answers, *outputs)
    except BaseException:
        stop()
        _read_answer(answers)
        raise
    if not raw:
        reason = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it was killed"]
        raise StepFailed(f"the container runtime ended without an answer: {reason[0]}", step=verb)
    return json.loads(raw), (output, errors)


def _read_answer(answers: int, *outputs: int) -> list[bytes]:
    """What came on each descriptor until the answer was complete, or there will be none.

    A process that a command left behind in the container may keep the others open for ever: what is in them counts.
    """
    found = {fd: bytearray() for fd in (answers, *outputs)}
    poller = select.poll()
    for fd in found:
        poller.register(fd, select.POLLIN)
    ended = False
    while not ended:
        for fd, _event in poller.poll():
            chunk = os.read(fd, _PIPE)
            found[fd] += chunk
            if not chunk:
                poller.unregister(fd)
            if fd == answers:
                ended = ended or not chunk or chunk.endswith(report.END)
    for fd in outputs:
        os.set_blocking(fd, False)
        with contextlib.suppress(BlockingIOError):
            found[fd] += os.read(fd, _PIPE)
    return [bytes(data) for data in found.values()]


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
