# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of system calls that a bundle asks for: made once, kept, and only read from then on.

The launcher sees to it before it forks or enters anything: making a filter means importing code, which a process
that has changed its root must not do. Where a filter is kept is for the bundle's author to say, in an annotation;
without one it is made anew.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, NamedTuple, NoReturn

from ..linux import seccomp
from ..linux.files import make_private_dir, write_atomic
from . import report
from .bundle import ANNOTATION_SECCOMP, Bundle
from .report import StepError


class Filter(NamedTuple):
    """A program for seccomp(2) and the flags to install it with."""

    program: bytes
    flags: int

    @property
    def listens(self) -> bool:
        """Whether somebody outside has to be given the descriptor that comes of it."""
        return bool(self.flags & seccomp.NEW_LISTENER)


def wanted(bundle: Bundle, path: str | None = None) -> Filter | None:
    """The filter of the bundle, None when it asks for none. It is kept at `path`, or where an annotation says."""
    asked = bundle.linux.get("seccomp")
    if not asked:
        return None
    flags = seccomp.flag_bits(asked.get("flags"), listener=seccomp.notifies(asked))
    path = bundle.text(ANNOTATION_SECCOMP) if path is None else path
    return Filter(_kept(path) or _made(asked, path), flags)


def place(bundle: Bundle, directory: str) -> str:
    """Where to keep the filter of a bundle that is somebody else's and cannot be asked: by what it is made of."""
    import hashlib  # OpenSSL with it, which no monitor is to carry

    key = json.dumps([seccomp.FILTER_VERSION, os.uname().machine, bundle.linux.get("seccomp")], sort_keys=True)
    return os.path.join(directory, hashlib.sha256(key.encode()).hexdigest()[:32] + ".bpf")


def _kept(path: str) -> bytes:
    """The program in a file that names what it is made of; empty when there is none that could be whole."""
    try:
        with open(path, "rb") as handle:
            program = handle.read()
    except OSError:
        return b""
    return b"" if len(program) % seccomp.INSTRUCTION_SIZE else program


def _made(asked: dict[str, Any], path: str) -> bytes:
    """The program, made by a child: what it takes to make one goes with the child."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _make(asked, path, write_end)
    os.close(write_end)
    answer = report.read_all(read_end)
    os.close(read_end)
    _pid, status = os.waitpid(child, 0)
    if status:
        raise StepError(report.parse(answer).message)
    return answer


def _make(asked: dict[str, Any], path: str, answer_fd: int) -> NoReturn:
    """Make, keep and hand over. A disk that is full or read-only is no reason not to start."""
    code = 1
    try:
        from ..linux.seccomp_filter import compile_filter

        program = compile_filter(asked, os.uname().machine)
        if path:
            with contextlib.suppress(OSError):
                make_private_dir(os.path.dirname(path))
                write_atomic(path, program)
        os.write(answer_fd, program)
        code = 0
    except BaseException as exc:
        report.send(answer_fd, "seccomp", exc)
    finally:
        os._exit(code)
