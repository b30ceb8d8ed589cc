# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own code on the host's disk, for what must run when no task does.

Ansible deletes a task's code when it ends. So a program's files are written below the state root, in a directory named
by their digest, and started from there as `python3 -I <directory>/__main__.py`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from typing import NamedTuple

from ..core.paths import Paths
from ..linux.files import make_private_dir, remove_tree, sync_tree

_PACKAGE = "mini_runtime"
# Started by its path and not by its directory's, a program is spared what `runpy` imports.
# What stands in for the standard library leans on inner parts of CPython: newer ones than are tested do without it.
_START = """\
import sys

directory = __file__.rpartition("/")[0]
sys.path.insert(0, directory)
if {stand_ins!r} and sys.implementation.name == "cpython" and sys.version_info < (3, 14):
    sys.path.insert(0, f"{{directory}}/{package}/{stand_ins}")
from {package}.{module} import main

main()
"""
_MODULE_UTILS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Program(NamedTuple):
    """`files` are relative to `module_utils`; `entry` is the one among them whose `main` is called.

    Modules in the directory `stand_ins` are imported in place of those of the standard library.
    """

    entry: str
    files: tuple[str, ...]
    stand_ins: str = ""


def installed(paths: Paths, program: Program) -> str:
    """The directory of this version of the program, written when it is not there yet."""
    directory = os.path.join(paths.runtimes, version(program))
    if not os.path.isdir(directory):
        _install(directory, _files(program))
    return directory


@functools.cache
def version(program: Program) -> str:
    """The name of the directory of this version. Our files do not change while we run: they are read once."""
    return hashlib.sha256(b"\0".join(_files(program).values())).hexdigest()[:16]


def _files(program: Program) -> dict[str, bytes]:
    """What the directory holds."""
    module = program.entry[: -len(".py")].replace("/", ".")
    start = _START.format(package=_PACKAGE, module=module, stand_ins=program.stand_ins)
    return {"__main__.py": start.encode(), **{f"{_PACKAGE}/{name}": _source(name) for name in program.files}}


def _source(name: str) -> bytes:
    """One of our files, wherever we were imported from: a directory, or the archive that Ansible sends."""
    loader = globals()["__loader__"]
    data: bytes = loader.get_data(os.path.join(_MODULE_UTILS, name))
    return data


def _install(directory: str, files: dict[str, bytes]) -> None:
    """Write the files beside their place and rename: a directory of that name is always whole."""
    temporary = f"{directory}.{os.getpid()}.tmp"
    for name, data in files.items():
        path = os.path.join(temporary, name)
        make_private_dir(os.path.dirname(path))
        with open(path, "wb") as handle:
            handle.write(data)
    sync_tree(temporary)
    try:
        os.rename(temporary, directory)
    except OSError:
        remove_tree(temporary)
        if not os.path.isdir(directory):
            raise
